#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Bench, Target, number};

fn measured() -> Bench {
    let mut bench = Bench::default();
    for (ours, theirs) in [(30.0, 10.0), (20.0, 10.0), (40.0, 16.0)] {
        bench.push("reef", "requests", ours);
        bench.push("peer", "requests", theirs);
    }
    bench
}

#[test]
fn a_ratio_is_of_the_medians_and_keeps_the_range_of_its_rounds() {
    let mut bench = measured();
    let target = Some(Target::RatioAtLeast(2.5));
    bench.compare("rate", ("requests", "/s"), "reef", "peer", target);
    let finding = &bench.findings[0];
    assert_eq!((finding.ours, finding.ratio), (Some(30.0), Some([3.0, 2.0, 3.0])));
    assert_eq!(finding.met, Some(true));
    assert_eq!(
        finding.row(),
        "| rate | 30.0 /s | 10.0 /s (peer) | 3.00 (2.00–3.00) | ratio ≥ 2.5 | yes |"
    );
}

#[test]
fn a_target_is_missed_or_not_measured_but_never_assumed() {
    let mut bench = measured();
    let metric = ("requests", "/s");
    bench.compare("rate", metric, "reef", "peer", Some(Target::RatioAtMost(2.9)));
    bench.compare("rate", metric, "reef", "absent", Some(Target::RatioAtLeast(1.0)));
    bench.state("rate", metric, "absent", Some(Target::Below(1.0)));
    bench.state("rate", metric, "reef", Some(Target::Below(31.0)));
    let met: Vec<_> = bench.findings.iter().map(|finding| finding.met).collect();
    assert_eq!(met, [Some(false), None, None, Some(true)]);
    assert!(bench.summary("http").contains("| not measured |"));
}

#[test]
fn results_are_read_again_as_they_were_written() {
    let mut bench = measured();
    bench.compare("rate", ("requests", "/s"), "reef", "peer", Some(Target::RatioAtLeast(2.5)));
    let again: Bench = serde_json::from_slice(&serde_json::to_vec(&bench).unwrap()).unwrap();
    assert_eq!(again.findings, bench.findings);
    assert_eq!(again.samples, bench.samples);
}

#[test]
fn numbers_have_three_digits_that_matter() {
    let texts = [0.0, 0.0421, 1.234, 12.34, 113_000.4].map(number);
    assert_eq!(texts, ["0", "0.042", "1.23", "12.3", "113000"]);
}
