//! A look-up among ten thousand routes of every kind: what `cargo xtask bench routes` records. It prints the
//! mean over all paths, in microseconds.
#![allow(clippy::unwrap_used, reason = "a measurement ends when anything fails")]

use std::time::Instant;

use reef_http::RouterBuilder;

fn main() {
    let mut routes = RouterBuilder::new();
    for index in 0..2500 {
        for route in [
            format!("/exact/path/of/{index}"),
            format!("/below/{index}/..."),
            format!("/users/:id/of/{index}"),
            format!("shop-{index}.example.com/api/..."),
        ] {
            routes.add("it", route.parse().unwrap(), index).unwrap();
        }
    }
    let routes = routes.build();
    let paths: Vec<_> = (0..2500)
        .flat_map(|index| {
            [
                (None, format!("/exact/path/of/{index}")),
                (None, format!("/below/{index}/some/where/else")),
                (None, format!("/users/somebody/of/{index}")),
                (Some(format!("shop-{index}.example.com:8080")), "/api/v1/things".to_owned()),
            ]
        })
        .collect();
    let rounds = 20;
    let mut found = 0;
    let began = Instant::now();
    for _ in 0..rounds {
        for (host, path) in &paths {
            found +=
                usize::from(routes.find(host.as_deref().or(Some("localhost")), path).is_some());
        }
    }
    let took = began.elapsed();
    assert_eq!(found, rounds * paths.len(), "each has its route");
    println!("{:.4}", took.as_secs_f64() * 1e6 / found as f64);
}
