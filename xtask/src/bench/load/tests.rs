#![allow(clippy::unwrap_used, reason = "tests")]

use super::{Load, milliseconds, parse};

#[test]
fn what_wrk_prints_is_read() {
    let printed = "\
Running 5s test @ http://127.0.0.1:7101/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   281.22us  120.01us   9.11ms   93.20%
    Req/Sec   113.05k     2.10k  118.00k    70.00%
  Latency Distribution
     50%  268.00us
     75%  301.00us
     90%  377.00us
     99%    1.25ms
  562310 requests in 5.00s, 61.70MB read
  Socket errors: connect 0, read 2, write 0, timeout 5
  Non-2xx or 3xx responses: 10
Requests/sec: 112442.11
Transfer/sec:     12.34MB
";
    let expected = Load { rate: 112_442.11, p50: 0.268, p99: 1.25, failed: 17.0 };
    assert_eq!(parse(printed), Some(expected));
    assert_eq!(parse("unable to connect to 127.0.0.1:1\n"), None);
}

#[test]
fn latencies_have_units() {
    assert_eq!(milliseconds("  2.00s"), Some(2000.0));
    assert_eq!(milliseconds("1.50m"), Some(90_000.0));
    assert_eq!(milliseconds("12"), None);
    assert_eq!(milliseconds("12 parsecs"), None);
}
