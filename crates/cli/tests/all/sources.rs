//! Artifacts from elsewhere: a real OCI registry, a server with TLS, and servers that say what a test wants.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::Command,
    thread,
};

use reef_artifact::Digest;
use reef_servers::Server as Real;
use tempfile::{TempDir, tempdir};

use crate::{
    process::{Ended, finish},
    server::{Server, serving},
    support::{PATIENCE, eventually, guest, reef},
};

/// The media types of a config and of a layer, as the tools of each layout push them.
pub(crate) const ARTIFACT: (&str, &str) =
    ("application/vnd.wasm.config.v0+json", "application/wasm");
const KRUSTLET: (&str, &str) =
    ("application/vnd.wasm.config.v1+json", "application/vnd.wasm.content.layer.v1+wasm");
const WASM_TO_OCI: (&str, &str) = (
    "application/vnd.module.wasm.config.v1+json",
    "application/vnd.module.wasm.content.layer.v1+wasm",
);
const RUNWASI: (&str, &str) = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
);
const IMAGE: (&str, &str) =
    ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip");

/// A registry; what is wrong with its start is what the test fails with.
pub(crate) fn registry() -> Real {
    Real::registry().expect("docker-registry, which `cargo xtask servers` installs")
}

/// Status, `Location` and nothing else of an answer.
fn request(addr: SocketAddr, method: &str, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {addr}\r\nconnection: close\r\ncontent-type: {kind}\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let location = answer.lines().find_map(|line| line.strip_prefix("Location: "));
    (status, location.unwrap_or_default().to_owned())
}

fn push_blob(addr: SocketAddr, name: &str, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let (status, location) = request(addr, "POST", &format!("/v2/{name}/blobs/uploads/"), "", b"");
    assert_eq!(status, 202);
    let path = location.strip_prefix(&format!("http://{addr}")).unwrap_or(&location);
    let path = format!("{path}&digest={digest}");
    let (status, _) = request(addr, "PUT", &path, "application/octet-stream", bytes);
    assert_eq!(status, 201);
    digest
}

/// Pushes an artifact, as other tools would, and returns the digest of its manifest.
pub(crate) fn push(
    addr: SocketAddr,
    name: &str,
    tag: &str,
    layout: (&str, &str),
    bytes: &[u8],
) -> Digest {
    let config = push_blob(addr, name, b"{}");
    let layer = push_blob(addr, name, bytes);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": kind,
        "config": { "mediaType": layout.0, "digest": config, "size": 2 },
        "layers": [{ "mediaType": layout.1, "digest": layer, "size": bytes.len() }],
    });
    let manifest = manifest.to_string();
    let path = format!("/v2/{name}/manifests/{tag}");
    assert_eq!(request(addr, "PUT", &path, kind, manifest.as_bytes()).0, 201);
    Digest::of(manifest.as_bytes())
}

/// What a process of its own has kept.
struct Kept(TempDir);

impl Kept {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    fn reef(&self, args: &[&str]) -> Command {
        let mut command = reef();
        self.own(&mut command);
        command.args(args);
        command
    }

    fn own(&self, command: &mut Command) {
        command.env("REEF_CACHE_DIR", self.0.path().join("code"));
        command.env("DOCKER_CONFIG", self.0.path().join("docker"));
        command.env("REGISTRY_AUTH_FILE", self.0.path().join("podman.json"));
        command.env_remove("BINDLE_URL").env_remove("REEF_INSECURE_REGISTRIES");
    }

    fn run(&self, args: &[&str]) -> Ended {
        finish(self.reef(args), b"")
    }

    /// What Docker keeps for people.
    fn docker(&self, config: &str) {
        fs::create_dir_all(self.0.path().join("docker")).unwrap();
        fs::write(self.0.path().join("docker/config.json"), config).unwrap();
    }
}

fn bytes_of(name: &str) -> Vec<u8> {
    fs::read(guest(name)).unwrap()
}

#[test]
fn a_command_runs_from_a_registry_and_goes_on_to_when_that_is_gone() {
    let (mut registry, kept) = (registry(), Kept::new());
    let addr = registry.addr();
    let wasm = bytes_of("p1-hello");
    let manifest = push(addr, "shop/hello", "1", ARTIFACT, &wasm);
    let tag = format!("oci://{addr}/shop/hello:1");

    let first = kept.run(&["run", &tag, "--", "0"]);
    first.prints(&["hello from rust"]);
    assert!(first.stderr.contains(&format!("Downloading {tag} (")), "{first:?}");
    assert!(first.stderr.contains(&format!("Downloaded {tag} (")), "{first:?}");
    // What a tag is is asked for, and not fetched again.
    let second = kept.run(&["run", &tag]);
    second.prints(&["hello from rust"]);
    assert!(!second.stderr.contains("Download"), "{second:?}");
    // A tag that moved is seen.
    push(addr, "shop/hello", "1", ARTIFACT, &bytes_of("p2-cli"));
    kept.run(&["run", &tag]).prints(&["hello from WASI 0.2"]);
    // A digest is what it was.
    let pinned = format!("oci://{addr}/shop/hello@{manifest}");
    kept.run(&["run", &pinned]).prints(&["hello from rust"]);

    registry.kill();
    let alone = kept.run(&["run", &pinned]);
    alone.prints(&["hello from rust"]);
    assert_eq!(alone.stderr, "hello on standard error\n");
    let stale = kept.run(&["run", &tag]);
    stale.prints(&["hello from WASI 0.2"]);
    for part in ["cannot be looked up", "what it was last, sha256:", "refused the connection"] {
        assert!(stale.stderr.contains(part), "{part:?} is not in {stale:?}");
    }
    // Another process, which has kept nothing.
    Kept::new().run(&["run", &tag]).fails(125, &["refused the connection"]);
}

#[test]
fn processes_share_what_they_keep() {
    let (registry, kept) = (registry(), Kept::new());
    let addr = registry.addr();
    push(addr, "hello", "1", ARTIFACT, &bytes_of("p1-hello"));
    let tag = format!("oci://{addr}/hello:1");
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| kept.run(&["run", &tag]).prints(&["hello from rust"]));
        }
    });
    // What was written half or twice would be here.
    let blobs = fs::read_dir(kept.0.path().join("code.artifacts/sha256")).unwrap();
    let names: Vec<_> = blobs.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, [Digest::of(&bytes_of("p1-hello")).hex().as_str()]);
    // A damaged one is fetched again.
    let blob = kept.0.path().join("code.artifacts/sha256").join(&names[0]);
    fs::write(&blob, b"damaged").unwrap();
    let again = kept.run(&["run", &tag]);
    again.prints(&["hello from rust"]);
    for part in ["is damaged, and is fetched again", "Downloaded"] {
        assert!(again.stderr.contains(part), "{again:?}");
    }
}

#[test]
fn every_layout_is_understood_and_what_is_none_is_named() {
    let (registry, kept) = (registry(), Kept::new());
    let addr = registry.addr();
    let wasm = bytes_of("p1-hello");
    for (tag, layout) in [
        ("artifact", ARTIFACT),
        ("krustlet", KRUSTLET),
        ("wasm-to-oci", WASM_TO_OCI),
        ("runwasi", RUNWASI),
    ] {
        push(addr, "hello", tag, layout, &wasm);
        let seen = kept.run(&["inspect", "--json", &format!("oci://{addr}/hello:{tag}")]);
        seen.prints(&[&Digest::of(&wasm).to_string()]);
    }
    push(addr, "hello", "image", IMAGE, &wasm);
    push(addr, "hello", "text", ARTIFACT, b"no wasm at all");
    let zero = format!("sha256:{}", "00".repeat(32));
    for (reference, said) in [
        ("hello:image".to_owned(), "container image"),
        ("hello:text".to_owned(), "not WebAssembly"),
        ("hello:none".to_owned(), "check its name and its version"),
        ("other:1".to_owned(), "check its name and its version"),
        (format!("hello@{zero}"), "check its name and its version"),
        ("Hello:1".to_owned(), "is not a reference into a registry"),
    ] {
        kept.run(&["run", &format!("oci://{addr}/{reference}")]).fails(125, &[said]);
    }
}

#[test]
fn a_manifest_of_wagi_has_its_module_in_a_registry() {
    let (mut registry, kept) = (registry(), Kept::new());
    let addr = registry.addr();
    push(addr, "env", "1", KRUSTLET, &bytes_of("wagi-env"));
    let dir = tempdir().unwrap();
    let manifest = format!("[[module]]\nroute = '/env'\nmodule = 'oci:{addr}/env:1'\n");
    fs::write(dir.path().join("modules.toml"), manifest).unwrap();
    let up = || {
        let mut command = serving("up", ["modules.toml"]);
        kept.own(&mut command);
        command.current_dir(dir.path()).arg("--socket").arg(dir.path().join("socket"));
        let server = Server::spawn(command);
        assert!(server.get("/env").text().contains("GATEWAY_INTERFACE=CGI/1.1"));
        server.log().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert!(up().contains("Downloading"));
    let second = up();
    assert!(!second.contains("Downloading") && !second.contains("looked up"), "{second}");
    registry.kill();
    assert!(up().contains("cannot be looked up"));

    // Written as a manifest of Reef's own, it is the same reference.
    let converted = finish(
        {
            let mut command = reef();
            command.args(["convert", "modules.toml"]).current_dir(dir.path());
            command
        },
        b"",
    );
    converted.prints(&[&format!("oci://{addr}/env:1")]);
}

#[test]
fn an_application_is_put_together_from_several_places() {
    let (registry, kept) = (registry(), Kept::new());
    let addr = registry.addr();
    let (hello, kit) = (bytes_of("p2-hello-http"), bytes_of("p2-http-kit"));
    push(addr, "hello", "1", ARTIFACT, &hello);
    push(addr, "kit", "1", RUNWASI, &kit);
    let manifest = |digest: &str| {
        format!(
            "name = 'shop'\n[[workload]]\nname = 'hello'\nsource = 'oci://{addr}/hello:1'\n\
             digest = '{digest}'\ntrigger.http.route = '/hello'\n\
             [[workload]]\nname = 'kit'\nsource = 'oci://{addr}/kit:1'\ntrigger.http.route = '/...'\n"
        )
    };
    let dir = tempdir().unwrap();
    let write = |text: String| fs::write(dir.path().join("reef.toml"), text).unwrap();
    let command = |name: &str| {
        let mut command = serving(name, [""; 0]);
        kept.own(&mut command);
        command.current_dir(dir.path()).arg("--socket").arg(dir.path().join("socket"));
        command
    };
    let zero = format!("sha256:{}", "00".repeat(32));
    write(manifest(&zero));
    let refused = finish(command("up"), b"");
    refused.fails(125, &["shop/hello", &zero, &Digest::of(&hello).to_string()]);

    write(manifest(&Digest::of(&hello).to_string()));
    let server = Server::spawn(command("up"));
    assert_eq!(server.get("/hello").status, 200);
    assert_eq!(server.get("/headers").status, 200);

    // Another version, while it runs; what did not change stays.
    push(addr, "kit", "1", RUNWASI, &hello);
    let mut apply = kept.reef(&["apply"]);
    apply.arg("--socket").arg(dir.path().join("socket")).current_dir(dir.path());
    let applied = finish(apply, b"");
    applied.prints(&["kit"]);
    assert_eq!(server.get("/anything").text(), server.get("/hello").text());

    // What is no reference is known before anything is fetched, with its place.
    write(
        "name = 'a'\n[[workload]]\nname = 'a'\nsource = 'oci://a/B:1'\ntrigger.http.route = '/'\n"
            .into(),
    );
    let mut check = kept.reef(&["check"]);
    check.current_dir(dir.path());
    let ended = finish(check, b"");
    assert_eq!(ended.status(), 1);
    let said = ended.stdout + &ended.stderr;
    assert!(said.contains("is not a reference into a registry") && said.contains("4:"), "{said}");
}

/// An image without a scheme is in a registry, as wadm has it; one of a provider is nothing to fetch.
#[test]
fn a_wadm_application_has_its_component_in_a_registry() {
    let (registry, kept) = (registry(), Kept::new());
    let addr = registry.addr();
    push(addr, "shop/kit", "1.0.0", ARTIFACT, &bytes_of("p2-http-kit"));
    let manifest = r#"
apiVersion: core.oam.dev/v1beta1
kind: Application
metadata:
  name: shop
  annotations: { version: v1 }
spec:
  components:
    - name: kit
      type: component
      properties: { image: REGISTRY/shop/kit:1.0.0 }
    - name: server
      type: capability
      properties: { image: ghcr.io/wasmcloud/http-server:0.27.0 }
      traits:
        - type: link
          properties:
            target: kit
            namespace: wasi
            package: http
            interfaces: [incoming-handler]
            source_config:
              - name: address
                properties: { address: 127.0.0.1:8080 }
"#;
    let manifest = manifest.replace("REGISTRY", &addr.to_string());
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("wadm.yaml"), manifest).unwrap();
    let mut command = serving("up", ["wadm.yaml"]);
    kept.own(&mut command);
    command.current_dir(dir.path()).arg("--socket").arg(dir.path().join("socket"));
    let server = Server::spawn(command);
    assert_eq!(server.get("/env").status, 200);
    let log = server.log().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(log.contains(&format!("Downloaded oci://{addr}/shop/kit:1.0.0")), "{log}");
    assert!(!log.contains("ghcr.io/wasmcloud/http-server:0.27.0 ("), "{log}");
}

/// `reef dev` runs what comes from elsewhere, and a changed manifest may name another version of it.
#[test]
fn what_comes_from_a_registry_is_swapped_while_developing() {
    let (registry, kept) = (registry(), Kept::new());
    let addr = registry.addr();
    push(addr, "kit", "1", ARTIFACT, &bytes_of("p2-http-kit"));
    push(addr, "kit", "2", ARTIFACT, &bytes_of("p3-http-kit"));
    let dir = tempdir().unwrap();
    let write = |version: &str| {
        let manifest = format!(
            "name = 'shop'\n[[workload]]\nname = 'kit'\nsource = 'oci://{addr}/kit:{version}'\n\
             trigger.http.route = '/...'\n"
        );
        fs::write(dir.path().join("new"), manifest).unwrap();
        fs::rename(dir.path().join("new"), dir.path().join("reef.toml")).unwrap();
    };
    write("1");
    let mut command = serving("dev", [""; 0]);
    kept.own(&mut command);
    command.current_dir(dir.path()).arg("--socket").arg(dir.path().join("socket"));
    let server = Server::spawn(command);
    server.wait_for_log(&["Watching for changes."]);
    assert!(server.get("/").text().contains("WASI 0.2"));
    write("2");
    eventually("the other version", || server.get("/").text().contains("WASI 0.3").then_some(()));
    // One that is not there leaves the one that is.
    write("3");
    server.wait_for_log(&["check its name and its version", "What ran before goes on."]);
    assert!(server.get("/").text().contains("WASI 0.3"));
}

#[test]
fn a_file_is_served_from_elsewhere() {
    let (registry, kept) = (registry(), Kept::new());
    let addr = registry.addr();
    push(addr, "hello", "1", ARTIFACT, &bytes_of("p3-hello-http"));
    let mut command = serving("serve", [format!("/a/...=oci://{addr}/hello:1")]);
    kept.own(&mut command);
    let server = Server::spawn(command);
    assert_eq!(server.get("/a/b").text(), "hello\n");
}

#[test]
fn a_runtime_is_installed_from_elsewhere() {
    let (registry, kept) = (registry(), Kept::new());
    let addr = registry.addr();
    let wasm = bytes_of("p1-hello");
    push(addr, "runtimes/lua", "1", ARTIFACT, &wasm);
    let to = kept.0.path().join("runtimes");
    let from = format!("oci://{addr}/runtimes/lua:1");
    let install = |args: &[&str]| {
        let mut command = kept.reef(&["runtimes", "install"]);
        command.args(args).arg("--to").arg(&to);
        finish(command, b"")
    };
    let zero = format!("sha256:{}", "00".repeat(32));
    install(&["lua", &from, "--digest", &zero]).fails(125, &[&zero]);
    assert!(!to.join("lua.wasm").exists());
    let digest = Digest::of(&wasm).to_string();
    install(&["lua", &from, "--digest", &digest]).prints(&["lua is installed"]);
    assert_eq!(fs::read(to.join("lua.wasm")).unwrap(), wasm);
    // It is called as the runtime is.
    install(&[&from]).prints(&["lua is installed"]);
    install(&["lua"]).fails(125, &["say where lua is"]);
    let file = guest("p1-hello").display().to_string();
    install(&["lua", &file, "--digest", &zero]).fails(125, &[&zero]);
    install(&["lua", &file, "--digest", &digest]).prints(&["lua is installed"]);
}

/// A server with TLS: Reef's own, with these files.
fn with_tls(dir: &Path, more: &str) -> (Server, TempDir) {
    let files = tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(files.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(files.path().join("cert.pem"), made.cert.pem()).unwrap();
    let manifest = format!("name = 'files'\n[[static]]\nroute = '/files/...'\ndir = '.'\n{more}");
    fs::write(dir.join("reef.toml"), manifest).unwrap();
    let mut command = serving("up", [""; 0]);
    for (flag, name) in [("--tls-cert", "cert.pem"), ("--tls-key", "key.pem")] {
        command.arg(flag).arg(files.path().join(name));
    }
    command.current_dir(dir).arg("--socket").arg(files.path().join("socket"));
    (Server::spawn(command), files)
}

#[test]
fn a_download_is_trusted_by_its_certificate_and_its_digest() {
    let dir = tempdir().unwrap();
    fs::copy(guest("p1-hello"), dir.path().join("hello.wasm")).unwrap();
    let redirects = "[[redirect]]\nroute = '/moved'\nto = '/files/hello.wasm'\n\
                     [[redirect]]\nroute = '/down'\nto = 'http://localhost:1/hello.wasm'\n";
    let (server, files) = with_tls(dir.path(), redirects);
    let base = format!("https://localhost:{}", server.addr.port());
    let kept = Kept::new();
    let run = |url: String| {
        let mut command = kept.reef(&["run", &url]);
        command.env("SSL_CERT_FILE", files.path().join("cert.pem"));
        finish(command, b"")
    };
    let digest = Digest::of(&bytes_of("p1-hello"));
    for path in ["files/hello.wasm", "moved"] {
        run(format!("{base}/{path}")).prints(&["hello from rust"]);
    }
    run(format!("{base}/files/hello.wasm#sha256={}", digest.hex())).prints(&["hello from rust"]);
    let other = "00".repeat(32);
    run(format!("{base}/files/hello.wasm#sha256={other}"))
        .fails(125, &[&other, &digest.to_string()]);
    run(format!("{base}/down")).fails(125, &["not encrypted: this is not followed"]);
    run(format!("{base}/files/none.wasm")).fails(125, &["check its name"]);
    run(format!("{base}/files/reef.toml")).fails(125, &["reef.toml"]);
    // Whom nobody vouches for is not asked.
    let ended = Kept::new().run(&["run", &format!("{base}/files/hello.wasm")]);
    ended.fails(125, &["no TLS with localhost"]);
}

/// A server that answers what a test says to each head of a request.
fn scripted(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // Ends with the process.
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut head = String::new();
            let mut reader = BufReader::new(&stream);
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {}
            let _ = (&stream).write_all(&answer(&head));
        }
    });
    addr
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

const REFUSED: &[u8] = b"HTTP/1.1 401 No\r\nwww-authenticate: Basic realm=\"shop\"\r\n\
    connection: close\r\ncontent-length: 0\r\n\r\n";
const MISSING: &[u8] = b"HTTP/1.1 404 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

#[test]
fn a_registry_lets_in_who_has_logged_in() {
    let wasm = bytes_of("p1-hello");
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": { "mediaType": ARTIFACT.0, "digest": Digest::of(b"{}"), "size": 2 },
        "layers": [{ "mediaType": ARTIFACT.1, "digest": Digest::of(&wasm), "size": wasm.len() }],
    });
    let addr = scripted(move |head| {
        // me:hush
        match head.contains("Basic bWU6aHVzaA==") {
            true if head.contains("/manifests/") => ok(manifest.to_string().as_bytes()),
            true => ok(&wasm),
            false => REFUSED.to_vec(),
        }
    });
    let reference = format!("oci://{addr}/hello:1");
    let login = format!("docker login {addr}");
    Kept::new().run(&["run", &reference]).fails(125, &["to anybody", &login]);

    let kept = Kept::new();
    kept.docker(&format!(r#"{{"auths":{{"{addr}":{{"auth":"bWU6aHVzaA=="}}}}}}"#));
    kept.run(&["run", &reference]).prints(&["hello from rust"]);

    // Another password, which no message repeats.
    let kept = Kept::new();
    kept.docker(&format!(r#"{{"auths":{{"{addr}":{{"auth":"bWU6b3RoZXI="}}}}}}"#));
    let refused = kept.run(&["--log", "trace", "run", &reference]);
    refused.fails(125, &["to whom you are logged in as", &login]);
    assert!(!refused.stderr.contains("other") && !refused.stderr.contains("bWU6"), "{refused:?}");

    // A program that keeps them, and one that is not there.
    let kept = Kept::new();
    kept.docker(r#"{"credsStore":"shop"}"#);
    let with_path = |folder: &Path| {
        let mut command = kept.reef(&["run", &reference]);
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", folder.display()));
        finish(command, b"")
    };
    with_path(Path::new("/nowhere")).fails(125, &["cannot be run", &login]);
    let helper = kept.0.path().join("docker-credential-shop");
    fs::write(
        &helper,
        "#!/bin/sh\ncat >/dev/null\necho '{\"Username\":\"me\",\"Secret\":\"hush\"}'\n",
    )
    .unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    with_path(kept.0.path()).prints(&["hello from rust"]);
}

/// Answers as the protocol of Bindle says; no server of it can be had any more.
#[test]
fn a_manifest_of_wagi_has_its_module_in_a_bindle() {
    let wasm = bytes_of("wagi-env");
    let invoice = format!(
        "bindleVersion = '1.0.0'\n[bindle]\nname = 'example.com/env'\nversion = '1.0.0'\n\
         [[parcel]]\n[parcel.label]\nsha256 = '{}'\nmediaType = 'application/wasm'\n\
         name = 'env.wasm'\nsize = {}\n",
        Digest::of(&wasm).hex(),
        wasm.len()
    );
    let parcel = format!("GET /v1/_i/example.com/env/1.0.0@{} ", Digest::of(&wasm).hex());
    let stub = scripted(move |head| {
        if head.starts_with("GET /v1/_i/example.com/env/1.0.0 ") {
            ok(invoice.as_bytes())
        } else if head.starts_with(&parcel) {
            ok(&wasm)
        } else {
            MISSING.to_vec()
        }
    });
    let (kept, dir) = (Kept::new(), tempdir().unwrap());
    let manifest = format!(
        "[[module]]\nroute = '/env'\nmodule = 'bindle:example.com/env/1.0.0'\n\
         bindle_server = 'http://{stub}/v1'\n"
    );
    fs::write(dir.path().join("modules.toml"), manifest).unwrap();
    let mut command = serving("up", ["modules.toml"]);
    kept.own(&mut command);
    command.current_dir(dir.path()).arg("--socket").arg(dir.path().join("socket"));
    let server = Server::spawn(command);
    assert!(server.get("/env").text().contains("GATEWAY_INTERFACE=CGI/1.1"));

    let mut command = kept.reef(&["inspect", "bindle:example.com/env/1.0.0"]);
    command.env("BINDLE_URL", format!("http://{stub}/v1"));
    finish(command, b"").prints(&["WASI"]);
    let none = kept.run(&["inspect", "bindle:example.com/env/1.0.0"]);
    none.fails(125, &["--bindle-server"]);
    let base = format!("http://{stub}/v1");
    let other = kept.run(&["inspect", "bindle:none/1.0.0", "--bindle-server", &base]);
    other.fails(125, &["has no bindle:none/1.0.0"]);
}

#[test]
fn nothing_is_asked_unencrypted_but_this_machine() {
    let kept = Kept::new();
    // A reserved address: nothing is sent.
    kept.run(&["run", "http://192.0.2.1/hello.wasm"])
        .fails(125, &["is not encrypted", "--insecure-registry 192.0.2.1"]);
    kept.run(&["run", "https://me:hush@localhost:1/hello.wasm"])
        .fails(125, &["do not belong into it"]);
}
