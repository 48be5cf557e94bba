//! No output of `_routes` panics, and every route that comes of it lies below the module's own.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reef_app::Route;
use reef_wagi::routes::{DynamicRoutes, MAX_ROUTES};

fuzz_target!(|output: &[u8]| {
    let Ok(routes) = DynamicRoutes::parse(output) else { return };
    assert!(routes.iter().count() <= MAX_ROUTES);
    for base in ["/", "/...", "/base", "/base/", "/:user/...", "example.com/base/..."] {
        let base: Route = base.parse().expect("a route");
        let path = base.path();
        let start = path.strip_suffix("/...").unwrap_or(&path).trim_end_matches('/');
        let Ok(handlers) = routes.under(&base) else { continue };
        for (at, handler) in handlers.iter().enumerate() {
            assert_eq!(handler.route.host(), base.host());
            assert!(
                handler.route == base || handler.route.path().starts_with(&format!("{start}/"))
            );
            let again: Route = handler.route.to_string().parse().expect("a route is one");
            assert_eq!(again, handler.route);
            assert!(handlers[..at].iter().all(|other| !other.route.is_same(&handler.route)));
        }
    }
});
