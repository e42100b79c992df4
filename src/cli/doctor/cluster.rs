//! A check of the cluster that the server takes part in, as that server sees it.

use std::net::SocketAddr;

use serde_json::Value;

use super::check::{Check, Verdict};
use super::server::Answer;
use crate::client::{Client, ClientError};

const NAME: &str = "cluster";

/// Nothing without a server.
pub fn check(answer: &Answer, client: &Client) -> Option<Check> {
    let Answer::Badbatch(health) = answer else { return None };
    let Some(status) = health["cluster"]["status"].as_str() else {
        return Some(Check::ok(NAME, "the server is in none"));
    };
    Some(match client.json("GET", "/api/v1/cluster", None) {
        Ok(cluster) => judge(&cluster),
        Err(error) => {
            let found = format!("{status}, and no more is told: {error}");
            let verdict = verdict(status).max(Verdict::Note);
            let advice = match error {
                ClientError::Problem(_) => "take a key that may see it: --token-file or BADBATCH_TOKEN",
                _ => "look at the server's log and its load",
            };
            Check { name: NAME, verdict, found, advice: advice.to_owned() }
        }
    })
}

/// How bad it is what the server says of its cluster.
fn verdict(status: &str) -> Verdict {
    match status {
        "healthy" => Verdict::Ok,
        "degraded" => Verdict::Warning,
        _ => Verdict::Failed,
    }
}

fn judge(cluster: &Value) -> Check {
    let text = |place: &str| cluster.pointer(place).and_then(Value::as_str).unwrap_or_default();
    let status = text("/health/cluster/status");
    let reasons = cluster["health"]["cluster"]["reasons"].as_array().into_iter().flatten();
    let reasons: Vec<_> = reasons.filter_map(Value::as_str).collect();
    let keys = cluster["keys"].as_array().map_or(0, Vec::len);
    let refusals = cluster["refusals"].as_object().into_iter().flatten();
    let refusals: Vec<_> = refusals.map(|(why, count)| format!("{count} {why}")).collect();
    let is_local = text("/bind_addr").parse().is_ok_and(|address: SocketAddr| address.ip().is_loopback());

    let members = &cluster["members"];
    let mut found = format!(
        "{} is {status} in {}: {} alive, {} suspect, {} dead; {}",
        text("/node_id"),
        text("/name"),
        members["alive"],
        members["suspect"],
        members["dead"],
        match keys {
            0 => "in clear".to_owned(),
            1 => "encrypted".to_owned(),
            _ => format!("encrypted, {keys} keys"),
        }
    );
    if !refusals.is_empty() {
        found += &format!("; refused: {}", refusals.join(", "));
    }

    let mut advice = Vec::new();
    let mut advise = |is_so: bool, verdict: Verdict, text: String| {
        advice.extend(is_so.then_some((verdict, text)));
    };
    advise(!reasons.is_empty(), verdict(status), format!("{}: badbatch cluster nodes", reasons.join(", ")));
    advise(
        keys == 0 && !is_local,
        Verdict::Warning,
        format!("whoever reaches {} may join: cluster.enable_encryption", text("/bind_addr")),
    );
    advise(
        keys > 1,
        Verdict::Note,
        "when every node uses the new key, remove the old one on each: badbatch cluster key remove"
            .to_owned(),
    );
    advise(
        !refusals.is_empty(),
        Verdict::Note,
        "its log says why: perhaps another key, another cluster's name, or more than members_max".to_owned(),
    );
    let worst = advice.iter().map(|(verdict, _)| *verdict).max().unwrap_or(Verdict::Ok);
    let advice: Vec<_> = advice.into_iter().map(|(_, text)| text).collect();
    Check { name: NAME, verdict: worst, found, advice: advice.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::judge;
    use serde_json::{Value, json};

    #[test]
    fn each_trouble_is_judged_and_has_its_advice() {
        let well = json!({"node_id": "a", "name": "shop", "bind_addr": "10.0.0.7:7946", "keys": ["k"], "refusals": {},
            "members": {"alive": 3, "suspect": 0, "dead": 0},
            "health": {"cluster": {"status": "healthy", "reasons": []}}});
        let check = |changes: &[(&str, Value)]| {
            let mut cluster = well.clone();
            for (place, value) in changes {
                *cluster.pointer_mut(place).expect("it is there") = value.clone();
            }
            judge(&cluster)
        };
        let found = "a is healthy in shop: 3 alive, 0 suspect, 0 dead; encrypted";
        assert_eq!((check(&[]).verdict, &*check(&[]).found, &*check(&[]).advice), (Verdict::Ok, found, ""));
        let (status, reasons) = ("/health/cluster/status", "/health/cluster/reasons");
        for (changes, verdict, advice) in [
            (vec![(status, json!("degraded")), (reasons, json!(["x"]))], Verdict::Warning, "x: badbatch"),
            (vec![(status, json!("unhealthy")), (reasons, json!(["x"]))], Verdict::Failed, "x: badbatch"),
            (vec![("/keys", json!([]))], Verdict::Warning, "reaches 10.0.0.7:7946 may join"),
            (vec![("/keys", json!([])), ("/bind_addr", json!("127.0.0.1:1"))], Verdict::Ok, ""),
            (vec![("/keys", json!(["k", "l"]))], Verdict::Note, "key remove"),
            (vec![("/refusals", json!({"wrong_key": 3}))], Verdict::Note, "another key"),
        ] {
            let check = check(&changes);
            assert_eq!(check.verdict, verdict, "{check:?}");
            assert!(
                check.advice.contains(advice) && check.advice.is_empty() == advice.is_empty(),
                "{check:?}"
            );
        }
    }
}
