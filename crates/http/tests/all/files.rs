//! Files of a folder, over real sockets.

use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use http_body_util::BodyExt;
use proptest::prelude::*;
use reef_http::{Compression, FileOptions, Handler, Peer, RequestBody, ResponseBody, StaticFiles};
use tempfile::TempDir;

use crate::support::{Client, TestServer, body, in_time};

/// Serves files below `/f`.
struct Files(StaticFiles);

impl Handler for Files {
    async fn handle(&self, request: Request<RequestBody>, _peer: Peer) -> Response<ResponseBody> {
        let path = request.uri().path().to_owned();
        self.0.answer(&request, path.strip_prefix("/f").unwrap_or(&path)).await
    }
}

struct Site {
    dir: TempDir,
    server: TestServer,
}

fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let site = dir.path().join("site");
    std::fs::create_dir_all(site.join("docs/empty")).unwrap();
    std::fs::write(dir.path().join("secret"), "SECRET").unwrap();
    std::fs::write(site.join("index.html"), "<p>top").unwrap();
    std::fs::write(site.join("docs/index.html"), "<p>docs").unwrap();
    std::fs::write(site.join("digits"), "0123456789").unwrap();
    std::fs::write(site.join("empty.txt"), "").unwrap();
    std::fs::write(site.join(".env"), "SECRET").unwrap();
    std::fs::write(site.join("app.js"), "let x = 1;".repeat(1000)).unwrap();
    std::fs::write(site.join("app.js.br"), "not really brotli").unwrap();
    std::fs::write(site.join("app.js.gz"), "not really gzip").unwrap();
    std::fs::write(site.join("plain.css"), "body { color: red }\n".repeat(10_000)).unwrap();
    std::fs::write(site.join("404.html"), "<p>nothing").unwrap();
    symlink("../secret", site.join("out")).unwrap();
    symlink(dir.path().join("secret"), site.join("absolute")).unwrap();
    symlink("..", site.join("up")).unwrap();
    symlink("docs/index.html", site.join("inside")).unwrap();
    symlink("loop", site.join("loop")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(site.join("pipe")).status().unwrap();
    assert!(fifo.success());
    dir
}

fn site(configure: impl FnOnce(&mut FileOptions)) -> Site {
    let dir = folder();
    let mut options = FileOptions::default();
    configure(&mut options);
    let files = StaticFiles::open(dir.path().join("site"), options).unwrap();
    Site { dir, server: TestServer::serving(Files(files)) }
}

impl Site {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join("site").join(name)
    }

    fn ask(&self, method: &str, path: &str, headers: &[&str]) -> Answer {
        let mut client = Client::connect(self.server.addr);
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        client.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n"
        ));
        let mut bytes = Vec::new();
        client.stream.read_to_end(&mut bytes).unwrap();
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
        let body = bytes.split_off(end);
        let text = String::from_utf8(bytes).unwrap();
        let status = text[9..12].parse().unwrap();
        Answer { status, head: text, body }
    }

    fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.ask("GET", path, headers)
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

#[test]
fn a_file_comes_with_what_caches_need() {
    let site = site(|options| options.cache_control = Some("max-age=60".parse().unwrap()));
    let answer = site.get("/f/digits", &[]);
    assert_eq!((answer.status, answer.text()), (200, "0123456789"));
    for (name, value) in [
        ("content-length", "10"),
        ("content-type", "application/octet-stream"),
        ("accept-ranges", "bytes"),
        ("cache-control", "max-age=60"),
        ("vary", "accept-encoding"),
    ] {
        assert_eq!(answer.field(name), Some(value), "{}", answer.head);
    }
    let (etag, modified) = (answer.field("etag").unwrap(), answer.field("last-modified").unwrap());
    assert!(etag.starts_with('"') && modified.ends_with(" GMT"));

    let head = site.ask("HEAD", "/f/digits", &[]);
    assert_eq!((head.status, head.text(), head.field("content-length")), (200, "", Some("10")));
    assert_eq!(head.field("etag"), Some(etag));

    for same in [format!("If-None-Match: {etag}"), format!("If-Modified-Since: {modified}")] {
        let answer = site.get("/f/digits", &[&same]);
        assert_eq!((answer.status, answer.text()), (304, ""), "{same}");
        assert_eq!(
            (answer.field("etag"), answer.field("cache-control")),
            (Some(etag), Some("max-age=60"))
        );
        assert_eq!(answer.field("content-type"), None);
    }
    assert_eq!(site.get("/f/digits", &["If-Match: \"other\""]).status, 412);

    // Changed, the file is another, although as long as before.
    std::fs::write(site.path("digits"), "9876543210").unwrap();
    let answer = site.get("/f/digits", &[&format!("If-None-Match: {etag}")]);
    assert_eq!((answer.status, answer.text()), (200, "9876543210"));
    assert_ne!(answer.field("etag"), Some(etag));
}

#[test]
fn folders_have_an_index_or_nothing() {
    let site = site(|_| {});
    for (path, text) in [("/f/", "<p>top"), ("/f/docs/", "<p>docs"), ("/f/inside", "<p>docs")] {
        let answer = site.get(path, &[]);
        assert_eq!((answer.status, answer.text()), (200, text), "{path}");
    }
    assert_eq!(site.get("/f/", &[]).field("content-type"), Some("text/html; charset=utf-8"));
    for (path, to) in [("/f", "/f/"), ("/f/docs?a=b", "/f/docs/?a=b"), ("//f/../evil/docs", "")] {
        let answer = site.get(path, &[]);
        if to.is_empty() {
            assert_eq!(answer.status, 404);
        } else {
            assert_eq!((answer.status, answer.field("location")), (301, Some(to)));
        }
    }
    for path in ["/f/docs/empty/", "/f/digits/", "/f/none", "/f/none/", "/f/empty.txt/x"] {
        assert_eq!(site.get(path, &[]).status, 404, "{path}");
    }
    let empty = site.get("/f/empty.txt", &[]);
    assert_eq!((empty.status, empty.text(), empty.field("content-length")), (200, "", Some("0")));
}

#[test]
fn only_reading_is_answered() {
    let site = site(|_| {});
    for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
        let answer = site.ask(method, "/f/digits", &["Content-Length: 0"]);
        assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
    let answer = site.ask("OPTIONS", "/f/digits", &[]);
    assert_eq!((answer.status, answer.field("allow")), (204, Some("GET, HEAD, OPTIONS")));
}

#[test]
fn nothing_outside_the_folder_is_served() {
    let site = site(|options| {
        options.dot_files = true;
        options.listing = true;
    });
    for path in [
        "/f/../secret",
        "/f/%2e%2e/secret",
        "/f/..%2fsecret",
        "/f/docs/../../secret",
        "/f//secret",
        "/f/out",
        "/f/absolute",
        "/f/up/secret",
        "/f/up/",
        "/f/up",
        "/f/loop",
        "/f/pipe",
        "/f/digits%00",
        "/f/..",
        "/f/%2fetc/passwd",
        "/f//etc/passwd",
        "/f/up/site/digits",
        "/f/docs/%2e%2e/digits",
    ] {
        let answer = site.get(path, &[]);
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert!(!answer.text().contains("SECRET"));
    }
    assert_eq!(site.get("/f/.env", &[]).text(), "SECRET");
    let long = format!("/f/{}", "x".repeat(4000));
    assert_eq!(site.get(&long, &[]).status, 404);
}

#[test]
fn names_with_a_dot_are_served_only_if_asked_for() {
    let site = site(|options| options.listing = true);
    assert_eq!(site.get("/f/.env", &[]).status, 404);
    assert_eq!(site.get("/f/%2eenv", &[]).status, 404);
}

#[test]
fn a_listing_is_a_page_without_surprises() {
    let site = site(|options| {
        options.listing = true;
        options.index.clear();
    });
    let hostile = "<script>alert(1)&\"'.txt";
    std::fs::write(site.path(hostile), "x").unwrap();
    std::fs::write(site.path("javascript:alert(1)"), "x").unwrap();
    let answer = site.get("/f/", &[]);
    let page = answer.text();
    assert!(answer.field("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert!(page.contains("&lt;script&gt;alert(1)&amp;&quot;&#39;.txt</a>"), "{page}");
    assert!(page.contains("href=\"./%3Cscript%3Ealert%281%29%26%22%27.txt\""), "{page}");
    assert!(page.contains("href=\"./javascript%3Aalert%281%29\""));
    assert!(page.contains("href=\"./docs/\">docs/</a>") && page.contains("<td>10</td>"));
    assert!(!page.contains("<script") && !page.contains(".env") && !page.contains("secret"));
    assert!(
        !page.contains(">out<") && !page.contains(">pipe<") && !page.contains(">up/<"),
        "{page}"
    );
    assert!(!page.contains("The folder above"));
    assert!(site.get("/f/docs/", &[]).text().contains("href=\"../\""));
    // The links lead where they say.
    assert_eq!(site.get("/f/%3Cscript%3Ealert%281%29%26%22%27.txt", &[]).status, 200);
    let head = site.ask("HEAD", "/f/", &[]);
    assert_eq!(head.field("content-length"), Some(page.len().to_string().as_str()));
}

#[test]
fn parts_of_a_file() {
    let site = site(|_| {});
    for (range, said, text) in [
        ("0-0", "bytes 0-0/10", "0"),
        ("2-4", "bytes 2-4/10", "234"),
        ("7-", "bytes 7-9/10", "789"),
        ("-2", "bytes 8-9/10", "89"),
        ("5-100", "bytes 5-9/10", "56789"),
        ("0-1,90-", "bytes 0-1/10", "01"),
    ] {
        let answer = site.get("/f/digits", &[&format!("Range: bytes={range}")]);
        assert_eq!(
            (answer.status, answer.field("content-range"), answer.text()),
            (206, Some(said), text)
        );
        assert_eq!(answer.field("content-length"), Some(text.len().to_string().as_str()));
    }
    let answer = site.get("/f/digits", &["Range: bytes=10-"]);
    assert_eq!((answer.status, answer.field("content-range")), (416, Some("bytes */10")));
    for whole in [
        "Range: bytes=3-2",
        "Range: lines=1-2",
        "Range: bytes=0-5,5-6",
        "Range: bytes=0-1\r\nRange: bytes=3-4",
    ] {
        assert_eq!(site.get("/f/digits", &[whole]).status, 200, "{whole}");
    }
    // Only GET has ranges.
    assert_eq!(site.ask("HEAD", "/f/digits", &["Range: bytes=0-0"]).status, 200);

    let etag = site.get("/f/digits", &[]).field("etag").unwrap().to_owned();
    for (condition, status) in
        [(format!("If-Range: {etag}"), 206), ("If-Range: \"old\"".into(), 200)]
    {
        assert_eq!(site.get("/f/digits", &["Range: bytes=0-0", &condition]).status, status);
    }
}

#[test]
fn several_parts_have_boundaries() {
    let site = site(|_| {});
    let answer = site.get("/f/digits", &["Range: bytes=8-9, 0-1"]);
    assert_eq!(answer.status, 206);
    let kind = answer.field("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let part = |range: &str, text: &str| {
        format!(
            "--{boundary}\r\ncontent-type: application/octet-stream\r\ncontent-range: bytes {range}/10\r\n\r\n{text}\r\n"
        )
    };
    assert_eq!(
        answer.text(),
        format!("{}{}--{boundary}--\r\n", part("8-9", "89"), part("0-1", "01"))
    );
    assert_eq!(answer.field("content-length"), Some(answer.body.len().to_string().as_str()));
    assert_eq!(answer.field("content-range"), None);
    let again = site.get("/f/digits", &["Range: bytes=8-9, 0-1"]);
    assert_ne!(again.field("content-type"), answer.field("content-type"), "not to be foreseen");
}

#[test]
fn a_large_file_streams_and_its_parts_too() {
    let site = site(|_| {});
    let bytes: Vec<u8> = (0..5_000_003u32).map(|at| (at % 251) as u8).collect();
    std::fs::write(site.path("large.bin"), &bytes).unwrap();
    let answer = site.get("/f/large.bin", &[]);
    assert!(answer.body == bytes);
    assert_eq!(answer.field("content-length"), Some("5000003"));
    let answer = site.get("/f/large.bin", &["Range: bytes=1000000-3999999"]);
    assert!(answer.status == 206 && answer.body == bytes[1_000_000..4_000_000]);
}

#[test]
fn a_file_that_shrinks_is_cut_not_padded() {
    let site = site(|_| {});
    let large = std::fs::File::create(site.path("shrinks")).unwrap();
    large.set_len(64 << 20).unwrap();
    let mut client = Client::connect(site.server.addr);
    client.send("GET /f/shrinks HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    client.until("\r\n\r\n");
    large.set_len(1 << 20).unwrap();
    assert!(client.rest().len() < 64 << 20);
    site.server.wait("the cut", |stats| stats.body_errors == 1);
}

#[test]
fn forms_made_before_are_sent_to_who_takes_them() {
    let site = site(|_| {});
    let etags: Vec<_> = [
        ("gzip, deflate, br, zstd", Some("br"), "not really brotli"),
        ("gzip;q=1, br;q=0.5", Some("gzip"), "not really gzip"),
        ("zstd, gzip;q=0.1", Some("gzip"), "not really gzip"),
        ("identity", None, &"let x = 1;".repeat(1000)),
    ]
    .into_iter()
    .map(|(accept, coding, text)| {
        let answer = site.get("/f/app.js", &[&format!("Accept-Encoding: {accept}")]);
        assert_eq!(
            (answer.status, answer.field("content-encoding"), answer.text()),
            (200, coding, text)
        );
        assert_eq!(answer.field("content-type"), Some("text/javascript; charset=utf-8"));
        assert_eq!(answer.field("vary"), Some("accept-encoding"));
        answer.field("etag").unwrap().to_owned()
    })
    .collect();
    assert!(etags[0] != etags[1] && etags[1] == etags[2] && etags[2] != etags[3]);
    let not_modified = format!("If-None-Match: {}", etags[0]);
    assert_eq!(site.get("/f/app.js", &["Accept-Encoding: br", &not_modified]).status, 304);
    assert_eq!(site.get("/f/app.js", &[&not_modified]).status, 200);
}

#[test]
fn other_files_are_compressed_on_the_way() {
    let site = site(|options| options.compression = Some(Compression::default()));
    let css = "body { color: red }\n".repeat(10_000);
    let answer = site.get("/f/plain.css", &["Accept-Encoding: gzip"]);
    assert_eq!(
        (answer.field("content-encoding"), answer.field("content-length")),
        (Some("gzip"), None)
    );
    let weak = answer.field("etag").unwrap().to_owned();
    assert!(weak.starts_with("W/\"") && answer.field("accept-ranges").is_none());
    assert!(dechunked_gzip(&answer.body) == css.as_bytes());
    let condition = format!("If-None-Match: {weak}");
    let again = site.get("/f/plain.css", &["Accept-Encoding: gzip", &condition]);
    assert_eq!((again.status, again.field("etag")), (304, Some(&*weak)));
    // A part is one of the file as it is.
    let part = site.get("/f/plain.css", &["Accept-Encoding: gzip", "Range: bytes=0-3"]);
    assert_eq!((part.status, part.text(), part.field("content-encoding")), (206, "body", None));
    let stale = site.get(
        "/f/plain.css",
        &["Accept-Encoding: gzip", "Range: bytes=0-3", &format!("If-Range: {weak}")],
    );
    assert_eq!((stale.status, stale.field("content-encoding")), (200, Some("gzip")));
    let plain = site.get("/f/plain.css", &[]);
    assert!(plain.text() == css && plain.field("content-length") == Some("200000"));
}

fn dechunked_gzip(mut chunked: &[u8]) -> Vec<u8> {
    let mut gzip = Vec::new();
    loop {
        let end = chunked.windows(2).position(|two| two == b"\r\n").unwrap();
        let size =
            usize::from_str_radix(std::str::from_utf8(&chunked[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            break;
        }
        gzip.extend_from_slice(&chunked[end + 2..][..size]);
        chunked = &chunked[end + 2 + size + 2..];
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut plain).unwrap();
    plain
}

#[test]
fn a_page_for_what_is_not_found() {
    let site = site(|options| options.not_found = Some("404.html".into()));
    let answer = site.get("/f/none", &["Range: bytes=0-1", "If-None-Match: *"]);
    assert_eq!((answer.status, answer.text(), answer.field("etag")), (404, "<p>nothing", None));
    assert_eq!(site.get("/f/../secret", &[]).text(), "<p>nothing");
}

#[test]
fn an_applications_page_answers_its_paths() {
    let site = site(|options| {
        options.fallback = Some("index.html".into());
        options.not_found = Some("404.html".into());
    });
    for path in ["/f/users/17", "/f/users/jane.doe", "/f/none/"] {
        let answer = site.get(path, &[]);
        assert_eq!((answer.status, answer.text()), (200, "<p>top"), "{path}");
    }
    let missing = site.get("/f/missing.js", &[]);
    assert_eq!((missing.status, missing.text()), (404, "<p>nothing"));
}

#[test]
fn a_manifest_says_how() {
    let text = "name = 'a'\n[[static]]\nroute = '/...'\ndir = 'public'\nindex = 'main.html'\n\
        listing = true\nnot-found = '404.html'\nfallback = 'app.html'\nmax-age = '1h'\n";
    let manifest =
        reef_app::Manifest::parse(&reef_document::Source::new("reef.toml", text)).unwrap();
    let application =
        manifest.application(None, &mut reef_document::Diagnostics::default()).unwrap();
    let options = FileOptions::from(&application.statics[0]);
    assert_eq!((options.index, options.listing), (vec!["main.html".to_owned()], true));
    assert_eq!(options.not_found.unwrap(), Path::new("404.html"));
    assert_eq!(options.fallback.unwrap(), Path::new("app.html"));
    assert_eq!(options.cache_control.unwrap(), "max-age=3600");
}

#[test]
fn what_cannot_be_served_is_said_at_once() {
    let dir = folder();
    let open = |configure: fn(&mut FileOptions), path: &Path| {
        let mut options = FileOptions::default();
        configure(&mut options);
        StaticFiles::open(path, options).map_err(|error| error.to_string())
    };
    let (site, none) = (dir.path().join("site"), dir.path().join("none"));
    assert!(open(|_| {}, &none).unwrap_err().contains("could not open the folder"));
    assert!(open(|_| {}, &site.join("digits")).is_err());
    for bad in [
        open(|options| options.not_found = Some("none.html".into()), &site),
        open(|options| options.fallback = Some("../secret".into()), &site),
        open(|options| options.index = vec!["../secret".into()], &site),
        open(|options| options.index = vec!["a/b".into()], &site),
    ] {
        assert!(bad.unwrap_err().contains("is not a file in"));
    }
}

#[test]
fn the_future_is_no_date_of_a_change() {
    let site = site(|_| {});
    let file = std::fs::File::options().write(true).open(site.path("digits")).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(1_000_000)).unwrap();
    let answer = site.get("/f/digits", &[]);
    let modified = httpdate::parse_http_date(answer.field("last-modified").unwrap()).unwrap();
    assert!(modified <= SystemTime::now());
}

#[test]
fn a_connection_goes_on_after_files() {
    let site = site(|_| {});
    let mut client = Client::connect(site.server.addr);
    for _ in 0..3 {
        client.send(
            "GET /f/digits HTTP/1.1\r\nHost: a\r\n\r\nHEAD /f/app.js HTTP/1.1\r\nHost: a\r\n\r\n",
        );
        assert!(client.until("0123456789").starts_with("HTTP/1.1 200 "));
        assert_eq!(body(&client.until("\r\n\r\n")), "");
    }
}

#[test]
fn a_file_that_is_not_in_memory_is_read_from_the_disk() {
    let site = site(|_| {});
    let bytes: Vec<u8> = (0..300_000u32).map(|at| (at % 253) as u8).collect();
    for (name, length) in [("cold.small", 1000), ("cold.large", bytes.len())] {
        std::fs::write(site.path(name), &bytes[..length]).unwrap();
        let file = std::fs::File::open(site.path(name)).unwrap();
        file.sync_all().unwrap();
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        let answer = site.get(&format!("/f/{name}"), &[]);
        assert!(answer.status == 200 && answer.body == bytes[..length], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_has_the_same_answers() {
    let site = site(|_| {});
    let bytes: Vec<u8> = (0..1_000_000u32).map(|at| (at % 251) as u8).collect();
    std::fs::write(site.path("large.bin"), &bytes).unwrap();
    let (mut sender, _connection) = crate::http2::connect(&site.server).await;
    let response = in_time(sender.send_request(crate::http2::get("/f/large.bin"))).await.unwrap();
    assert_eq!(response.headers()["content-length"], "1000000");
    assert!(in_time(response.into_body().collect()).await.unwrap().to_bytes() == bytes);
    let mut request = crate::http2::get("/f/large.bin");
    request.headers_mut().insert("range", "bytes=5-300004".parse().unwrap());
    let response = in_time(sender.send_request(request)).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-length"]),
        (206, &"300000".parse().unwrap())
    );
    assert!(in_time(response.into_body().collect()).await.unwrap().to_bytes() == bytes[5..300_005]);
    let mut request = crate::http2::get("/f/large.bin");
    *request.method_mut() = http::Method::HEAD;
    let response = in_time(sender.send_request(request)).await.unwrap();
    assert_eq!(response.headers()["content-length"], "1000000");
    assert!(in_time(response.into_body().collect()).await.unwrap().to_bytes().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a path is made of, the file beside the folder stays there.
    #[test]
    fn hostile_paths_stay_inside(parts in proptest::collection::vec(
        prop_oneof![
            Just("/"), Just(".."), Just("."), Just("%2e"), Just("%2E%2e"), Just("%2f"), Just("%5c"), Just("%00"),
            Just("up"), Just("out"), Just("absolute"), Just("docs"), Just("secret"), Just("site"), Just("//"),
            Just("%252e"), Just("inside"), Just("loop"), Just("\\"), Just("%c0%ae"),
        ], 1..10,
    )) {
        thread_local!(static SITE: Site = site(|options| { options.dot_files = true; options.listing = true; }));
        SITE.with(|site| {
            let answer = site.get(&format!("/f/{}", parts.concat()), &[]);
            prop_assert!([200, 301, 404].contains(&answer.status), "{:?}", answer);
            prop_assert!(answer.status == 200 || !String::from_utf8_lossy(&answer.body).contains("SECRET"));
            let text = String::from_utf8_lossy(&answer.body);
            // The listing shows `.env`; only the file beside the folder and the hidden one say this.
            prop_assert!(!text.contains("SECRET"), "{:?}", answer);
            Ok(())
        })?;
    }
}
