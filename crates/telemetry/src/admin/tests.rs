use super::*;

fn ask(method: Method, path: &str, health: &Health) -> Response<String> {
    let request = Request::builder().method(method).uri(path).body(()).unwrap();
    respond(&request, &Metrics::new(), health)
}

#[test]
fn probes_follow_the_state() {
    let health = Health::new();
    let status = |path: &str| {
        let response = ask(Method::GET, path, &health);
        (response.status().as_u16(), response.into_body())
    };
    assert_eq!(status("/readyz"), (503, "starting\n".to_owned()));
    assert_eq!(status("/livez"), (200, "starting\n".to_owned()));
    health.set_ready();
    assert_eq!(status("/readyz"), (200, "ready\n".to_owned()));
    assert_eq!(status("/readyz?verbose"), (200, "ready\n".to_owned()));
    health.set_draining();
    assert_eq!(status("/readyz"), (503, "draining\n".to_owned()));
    assert_eq!(status("/healthz"), (200, "draining\n".to_owned()));
}

#[test]
fn metrics_say_what_format_they_are_in() {
    let response = ask(Method::GET, "/metrics", &Health::new());
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[CONTENT_TYPE_HEADER], "text/plain; version=0.0.4; charset=utf-8");
    assert!(response.body().contains("process_resident_memory_bytes"));
}

#[test]
fn the_index_names_every_path_that_answers() {
    let index = ask(Method::GET, "/", &Health::new()).into_body();
    let paths: Vec<_> = index
        .lines()
        .filter_map(|line| line.split(' ').next())
        .filter(|w| w.starts_with('/'))
        .collect();
    assert_eq!(paths, ["/metrics", "/livez", "/healthz", "/readyz"]);
    assert!(paths.iter().all(|path| ask(Method::GET, path, &Health::new()).status() != 404));
}

#[test]
fn other_paths_and_methods_are_refused() {
    assert_eq!(ask(Method::GET, "/metrics/", &Health::new()).status(), 404);
    assert_eq!(ask(Method::POST, "/nothing", &Health::new()).status(), 404);
    let refusal = ask(Method::POST, "/metrics", &Health::new());
    assert_eq!(refusal.status(), 405);
    assert_eq!(refusal.headers()[ALLOW], "GET, HEAD");
    assert_eq!(ask(Method::HEAD, "/metrics", &Health::new()).status(), 200);
}
