//! WASI 0.2 middleware: the authentication component that knows nothing of the business logic. It lets a
//! request through whose `authorization` is what the variable `TOKEN` says, and answers any other itself.
//! What goes through is what came: in 0.2, a request and the place for its response belong to the host.

use wasip2::http::types::{Fields, IncomingRequest, OutgoingResponse, ResponseOutparam};

mod next {
    wit_bindgen::generate!({
        // As much of the interface as is used; the rest of its types are those of `wasip2`.
        inline: "
            package reef-test:middleware;

            world middleware {
                import wasi:http/incoming-handler@0.2.12;
            }

            package wasi:http@0.2.12 {
                interface types {
                    resource incoming-request;
                    resource response-outparam;
                }

                interface incoming-handler {
                    use types.{incoming-request, response-outparam};
                    handle: func(request: incoming-request, response-out: response-outparam);
                }
            }
        ",
        with: { "wasi:http/types@0.2.12": wasip2::http::types },
        generate_all,
    });
}

struct Middleware;

wasip2::http::proxy::export!(Middleware);

impl wasip2::exports::http::incoming_handler::Guest for Middleware {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let token = std::env::var("TOKEN").unwrap_or_default();
        let given = request.headers().get("authorization");
        if !token.is_empty() && given.len() == 1 && given[0] == token.as_bytes() {
            return next::wasi::http::incoming_handler::handle(request, out);
        }
        let challenge = [("www-authenticate".to_owned(), b"Bearer".to_vec())];
        let headers = Fields::from_list(&challenge).expect("the header is well formed");
        let response = OutgoingResponse::new(headers);
        response.set_status_code(401).expect("a status");
        ResponseOutparam::set(out, Ok(response));
    }
}
