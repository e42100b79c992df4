//! The figures as pictures.

use std::error::Error;
use std::path::Path;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::samples::{Kind, Measure, Samples};
use crate::scenario::Scenario;
use crate::stats::Spread;

type Done = Result<(), Box<dyn Error>>;

/// By peer, in their order: colours that people with colour blindness can tell apart (Okabe and Ito), and
/// three greys.
const COLOURS: [RGBColor; 10] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(240, 200, 110),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(0, 114, 178),
    RGBColor(150, 150, 150),
    RGBColor(205, 205, 205),
    RGBColor(213, 94, 0),
];
const FONT: &str = "sans-serif";
/// The percentiles of a curve, as one in so many events that are slower.
const ONE_IN: [f64; 13] =
    [1.1, 1.3, 2.0, 4.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 5000.0, 10_000.0];

/// For each scenario a bar per peer: how many times as long as ours it takes.
pub fn ratios(path: &Path, samples: &Samples, scenarios: &[&Scenario], peers: &[&str]) -> Done {
    let median = |scenario: &Scenario, peer: &str| {
        let values = samples.values(Kind::Clean, Measure::Nanos, &scenario.name, peer);
        Spread::of(&values).map(|spread| spread.median)
    };
    let groups: Vec<(&str, Vec<(usize, f64)>)> = scenarios
        .iter()
        .filter_map(|scenario| {
            let ours = median(scenario, peers[0])?;
            let bars =
                (1..peers.len()).filter_map(|peer| Some((peer, median(scenario, peers[peer])? / ours)));
            Some((&scenario.name[..], bars.collect::<Vec<_>>()))
        })
        .filter(|(_, bars)| !bars.is_empty())
        .collect();
    let lanes: usize = groups.iter().map(|(_, bars)| bars.len() + 1).sum();
    let most = groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.1).fold(10.0, f64::max);
    let least = groups.iter().flat_map(|(_, bars)| bars).map(|bar| bar.1).fold(0.8, f64::min);

    let size = (900, 110 + 13 * lanes as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    root.fill(&WHITE)?;
    let title = "Time per event, as a multiple of badbatch's (right of 1: badbatch takes less)";
    root.draw(&Text::new(title, (16, 14), (FONT, 17)))?;
    legend(&root, peers, 1, 40)?;
    let mut chart = ChartBuilder::on(&root)
        .margin_top(66)
        .margin_right(50)
        .x_label_area_size(30)
        .y_label_area_size(130)
        .build_cartesian_2d((least * 0.8..most * 1.3).log_scale(), 0.0..lanes as f64)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(0)
        .x_labels(8)
        .x_label_formatter(&|ratio| format!("{ratio}"))
        .label_style((FONT, 12))
        .light_line_style(WHITE)
        .draw()?;
    let mut lane = lanes as f64;
    for (name, bars) in &groups {
        let middle = chart.backend_coord(&(least * 0.8, lane - bars.len() as f64 / 2.0));
        let style = (FONT, 13).into_text_style(&root).pos(Pos::new(HPos::Right, VPos::Center));
        root.draw(&Text::new((*name).to_owned(), (middle.0 - 8, middle.1), style))?;
        for &(peer, ratio) in bars {
            let bar = Rectangle::new(
                [(1.0, lane - 0.9), (ratio, lane - 0.1)],
                COLOURS[peer % COLOURS.len()].filled(),
            );
            chart.draw_series([bar])?;
            let end = chart.backend_coord(&(ratio.max(1.0), lane - 0.5));
            let style = (FONT, 10).into_text_style(&root).pos(Pos::new(HPos::Left, VPos::Center));
            root.draw(&Text::new(format!("{ratio:.2}"), (end.0 + 4, end.1), style))?;
            lane -= 1.0;
        }
        lane -= 1.0;
    }
    chart.draw_series([PathElement::new([(1.0, 0.0), (1.0, lanes as f64)], BLACK.stroke_width(2))])?;
    Ok(root.present()?)
}

/// For each scenario a panel with a curve per peer: the latency that one event in so many exceeds.
pub fn latencies(path: &Path, samples: &Samples, scenarios: &[&Scenario], peers: &[&str]) -> Done {
    const COLUMNS: usize = 3;
    let rows = scenarios.len().div_ceil(COLUMNS).max(1);
    let root = SVGBackend::new(path, (1080, 70 + 260 * rows as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&Text::new("Latency in ns (lower is better) by percentile", (16, 14), (FONT, 17)))?;
    legend(&root, peers, 0, 40)?;
    let (_, panels) = root.split_vertically(62);
    for (panel, scenario) in panels.split_evenly((rows, COLUMNS)).iter().zip(scenarios) {
        let curves: Vec<(usize, Vec<(f64, f64)>)> = (0..peers.len())
            .map(|peer| (peer, curve(samples, &scenario.name, peers[peer])))
            .filter(|(_, curve)| !curve.is_empty())
            .collect();
        let values = || curves.iter().flat_map(|(_, curve)| curve).map(|point| point.1);
        let (least, most) = (values().fold(1000.0, f64::min), values().fold(1000.0, f64::max));
        let mut chart = ChartBuilder::on(panel)
            .caption(scenario.name.clone(), (FONT, 14))
            .margin(8)
            .x_label_area_size(26)
            .y_label_area_size(52)
            .build_cartesian_2d(
                (ONE_IN[0]..ONE_IN[ONE_IN.len() - 1]).log_scale(),
                (least * 0.8..most * 1.2).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_labels(5)
            .y_labels(6)
            .x_label_formatter(&|one_in| format!("p{}", percent(*one_in)))
            .y_label_formatter(&|nanos| format!("{nanos:.0}"))
            .label_style((FONT, 11))
            .light_line_style(WHITE)
            .draw()?;
        for (peer, curve) in curves {
            let width = if peer == 0 { 3 } else { 1 };
            chart.draw_series(LineSeries::new(curve, COLOURS[peer % COLOURS.len()].stroke_width(width)))?;
        }
    }
    Ok(root.present()?)
}

/// The median over the samples at each percentile.
fn curve(samples: &Samples, scenario: &str, peer: &str) -> Vec<(f64, f64)> {
    let point = |one_in| {
        let values = samples.values(Kind::Clean, Measure::Percentile(percent(one_in)), scenario, peer);
        Spread::of(&values).map(|spread| (one_in, spread.median))
    };
    ONE_IN.into_iter().filter_map(point).collect()
}

/// One in 100 is slower than p99.
fn percent(one_in: f64) -> f64 {
    let percent = 100.0 * (1.0 - 1.0 / one_in);
    (percent * 1000.0).round() / 1000.0
}

/// A square and a name for each peer from `first` on.
fn legend(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    peers: &[&str],
    first: usize,
    top: i32,
) -> Done {
    let mut left = 16;
    for (peer, name) in peers.iter().enumerate().skip(first) {
        root.draw(&Rectangle::new(
            [(left, top), (left + 10, top + 10)],
            COLOURS[peer % COLOURS.len()].filled(),
        ))?;
        root.draw(&Text::new((*name).to_owned(), (left + 15, top), (FONT, 12)))?;
        left += 34 + 6 * name.len() as i32;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn one_in_a_hundred_is_beyond_the_99th_percentile() {
        assert_eq!([2.0, 10.0, 100.0, 1000.0].map(percent), [50.0, 90.0, 99.0, 99.9]);
    }
}
