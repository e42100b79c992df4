//! Pictures of known numbers, character by character.

use super::super::cluster::tests::second_tick as cluster_tick;
use super::super::sample::tests::second_tick;
use super::super::state::tests::{press, state};
use super::super::state::{State, View};
use super::{Palette, draw};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Cell;
use ratatui::style::Color;
use serde_json::json;
use std::time::Duration;

/// The picture's lines, with letters for what is no ASCII: # and . in bars, * in sparklines and borders.
fn picture(state: &State, width: u16, height: u16, now: Duration) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("it has no errors");
    terminal.draw(|frame| draw(frame, state, &Palette::new(true), now)).expect("it has no errors");
    let cells = terminal.backend().buffer().content();
    let letter = |cell: &Cell| match cell.symbol() {
        "\u{2588}" => '#',
        "\u{2591}" => '.',
        symbol if symbol.is_ascii() => symbol.chars().next().unwrap_or(' '),
        _ => '*',
    };
    let line = |line: &[Cell]| line.iter().map(letter).collect::<String>().trim_end().to_owned();
    cells.chunks(usize::from(width).max(1)).map(line).collect()
}

fn check(state: &State, size: (u16, u16), expected: &[&str]) {
    let mut lines = picture(state, size.0, size.1, Duration::ZERO);
    lines.retain(|line| !line.is_empty());
    assert_eq!(lines, expected, "{size:?}\n{}", lines.join("\n"));
}

#[test]
fn all_disruptors_at_several_sizes() {
    check(
        &state(),
        (100, 30),
        &[
            "badbatch 0.1.0  HEALTHY  http://h:1  up 12m41s  every 1s",
            "in  8.00k/s          #  out  8.00k/s          #  rejected 800/s",
            "p50 1.50us  p95 40.0us  p99 2.50ms  lag 1.02k  errors 0  cpu 400%  rss 48.0M",
            " DISRUPTOR STATE    RING            IN/s  OUT/s    LAG    P99   ERR   CONSUMERS",
            ">main      running  ......   0%    4.00k  4.00k      0 2.50ms     0   count:0",
            " orders    running  ###### 100% !  4.00k  4.00k  1.02k 2.50ms     0   count:1.02k <- slowest",
            "by name  q quit  ? help  o sort  / filter  space pause  tab view",
        ],
    );
    check(
        &state(),
        (80, 24),
        &[
            "badbatch 0.1.0  HEALTHY  http://h:1  up 12m41s  every 1s",
            "in  8.00k/s          #  out  8.00k/s          #  rejected 800/s",
            "p50 1.50us  p95 40.0us  p99 2.50ms  lag 1.02k  errors 0  cpu 400%  rss 48.0M",
            " DISRUPTOR STATE    RING            IN/s  OUT/s    LAG    P99   ERR   CONSUMERS",
            ">main      running  ......   0%    4.00k  4.00k      0 2.50ms     0   count:0",
            " orders    running  ###### 100% !  4.00k  4.00k  1.02k 2.50ms     0   count:1.0~",
            "by name  q quit  ? help  o sort  / filter  space pause  tab view",
        ],
    );
    check(
        &state(),
        (40, 10),
        &[
            "badbatch 0.1.0  HEALTHY  http://h:1",
            "in  8.00k/s     #  out  8.00k/s     #",
            " DISRUPTOR STATE    RING         IN/s",
            ">main      running  ...   0%    4.00k",
            " orders    running  ### 100% !  4.00k",
            "by name  q quit  ? help  o sort",
        ],
    );
}

#[test]
fn a_cluster_at_several_sizes() {
    let mut state = State::new(View::Cluster, Duration::from_secs(1));
    state.answered(&cluster_tick(), Duration::ZERO);
    check(
        &state,
        (100, 30),
        &[
            "badbatch  DEGRADED  http://h:1  up 12m41s  every 1s",
            "2 alive  0 suspect  1 dead  0 left  services 1 passing  0 warning  1 critical",
            "a of badbatch  at 10.0.0.1:7946  encrypted  awareness 1  refused 8/s",
            " NODE STATE        FOR  SERV   INC ADDRESS       HTTP",
            ">a    alive      4m05s     0     2 10.0.0.1:7946 10.0.0.1:8080",
            " b    alive         5s     2     2 10.0.0.1:7946 10.0.0.1:8080",
            " c    dead       1d00h     0     2 10.0.0.1:7946 10.0.0.1:8080",
            " 1 of 3 members are dead",
            "by name  q quit  ? help  o sort  / filter  space pause",
        ],
    );
    press(&mut state, "t/x^");
    check(
        &state,
        (30, 9),
        &[
            "badbatch  DEGRADED  http://h:1",
            "2 alive  0 suspect  1 dead",
            " NODE STATE        FOR  SERV",
            " no node fits the filter",
            " 1 of 3 members are dead",
            "filter x  by name  q quit",
        ],
    );
}

#[test]
fn totals_raw_numbers_pause_and_filter_are_seen() {
    let mut state = state();
    press(&mut state, "tr /ord^");
    check(
        &state,
        (120, 24),
        &[
            "badbatch 0.1.0  HEALTHY  PAUSED  http://h:1  up 12m41s  every 1s",
            "published 8000  processed 6976  rejected 800",
            "p50 1.5us  p95 40.0us  p99 2500.0us  lag 1024  errors 0  cpu 400%  rss 48.0M",
            " DISRUPTOR STATE    RING                    IN          OUT          LAG          P99   ERR   CONSUMERS",
            ">orders    running  ###### 100% !         4000         2976         1024     2500.0us     0   count:1.02k <- slowest",
            "filter ord  by name  q quit  ? help  o sort  / filter  space pause  tab view",
        ],
    );
    press(&mut state, "/x");
    check(
        &state,
        (80, 24),
        &[
            "badbatch 0.1.0  HEALTHY  PAUSED  http://h:1  up 12m41s  every 1s",
            "published 8000  processed 6976  rejected 800",
            "p50 1.5us  p95 40.0us  p99 2500.0us  lag 1024  errors 0  cpu 400%  rss 48.0M",
            " DISRUPTOR STATE    RING                    IN          OUT          LAG",
            " no disruptor fits the filter",
            "filter: ordx_   enter keeps it, esc drops it",
        ],
    );
}

#[test]
fn one_disruptor_and_its_trouble() {
    let mut state = troubled();
    press(&mut state, "j^");
    check(
        &state,
        (80, 24),
        &[
            "badbatch 0.1.0  DEGRADED  http://h:1  up 12m41s  every 1s",
            "in  8.00k/s         ##  out  8.00k/s         ##  rejected 800/s",
            "p50 1.50us  p95 40.0us  p99 2.50ms  lag 1.02k  errors 0  cpu 400%  rss 48.0M",
            " orders  running  degraded",
            " ring     ######################################## 100% ! 1024 of 1024",
            " in   4.00k/s                                                           ##",
            " out  4.00k/s                                                           ##",
            " total    in 4.00k  out 2.98k  lag 1.02k",
            " latency  p50 1.50us  p95 40.0us  p99 2.50ms",
            " refused  full 400  rate 0  state 0",
            " SINK                LAG  OUT/s    OUT   ERR",
            " count             1.02k  4.00k  2.98k     7",
            "   connection refused",
            "q quit  ? help  o sort  / filter  space pause  tab view",
        ],
    );
    press(&mut state, "e");
    check(
        &state,
        (80, 24),
        &[
            "badbatch 0.1.0  DEGRADED  http://h:1  up 12m41s  every 1s",
            "in  8.00k/s         ##  out  8.00k/s         ##  rejected 800/s",
            "p50 1.50us  p95 40.0us  p99 2.50ms  lag 1.02k  errors 0  cpu 400%  rss 48.0M",
            " DISRUPTOR          COUNT  WHAT",
            " main                 400  refused: the ring was full",
            " orders                 -  degraded: sink `count`: connection refused",
            " orders                 7  attempts of sink `count` failed",
            " orders               400  refused: the ring was full",
            "q quit  ? help  o sort  / filter  space pause  tab view",
        ],
    );
}

/// With a sink of `orders` that cannot hand over.
fn troubled() -> State {
    let mut state = state();
    let mut tick = second_tick();
    tick["health"] = json!("degraded");
    let orders = &mut tick["disruptors"][1];
    orders["health"] = json!("degraded");
    orders["reasons"] = json!(["sink `count`: connection refused"]);
    orders["sinks"][0]["trouble"] = json!("connection refused");
    orders["sinks"][0]["errors"] = json!(7);
    state.answered(&tick, Duration::ZERO);
    state
}

#[test]
fn the_last_picture_stays_while_the_server_is_away() {
    let mut state = state();
    state.failed("cannot reach http://h:1 (refused)".to_owned());
    let lines = picture(&state, 80, 24, Duration::from_secs(3));
    assert!(lines[0].contains("STALE") && !lines[0].contains("HEALTHY"), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("orders")), "{lines:?}");
    assert_eq!(lines[23], "stale since 3s: cannot reach http://h:1 (refused)");
}

#[test]
fn no_size_and_no_view_is_too_much() {
    for view in ["", ">", ">>", "?", "/"] {
        let mut state = troubled();
        if !view.is_empty() {
            press(&mut state, view);
        }
        for (width, height) in (0..50).flat_map(|width| (0..16).map(move |height| (width, height))) {
            picture(&state, width, height, Duration::ZERO);
        }
        picture(&State::new(state.view, state.interval), 80, 24, Duration::ZERO);
    }
}

#[test]
fn the_selected_row_is_always_in_the_picture() {
    let mut tick = second_tick();
    let one = tick["disruptors"][0].clone();
    let many = (0..50).map(|number| {
        let mut one = one.clone();
        one["name"] = json!(format!("d{number:02}"));
        one
    });
    tick["disruptors"] = many.collect();
    let mut state = state();
    state.answered(&tick, Duration::ZERO);
    for place in 0..50 {
        let lines = picture(&state, 80, 12, Duration::ZERO);
        assert!(lines.iter().any(|line| line.starts_with(&format!(">d{place:02}"))), "{lines:?}");
        press(&mut state, "j");
    }
}

#[test]
fn nothing_is_coloured_where_no_colours_are_wanted() {
    let coloured = |has_colours| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).expect("it has no errors");
        let palette = Palette::new(has_colours);
        terminal.draw(|frame| draw(frame, &troubled(), &palette, Duration::ZERO)).expect("no errors");
        terminal.backend().buffer().content().iter().filter(|cell| cell.fg != Color::Reset).count()
    };
    assert!(coloured(true) > 0);
    assert_eq!(coloured(false), 0);
}
