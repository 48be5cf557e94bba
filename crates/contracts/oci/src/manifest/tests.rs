#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;

fn layer(media_type: &str, number: u8) -> String {
    let digest = format!("sha256:{}", format!("{number:02x}").repeat(32));
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{number}}}"#)
}

fn manifest(config: &str, layers: &[&str]) -> Manifest {
    let layers: Vec<_> = layers.iter().zip(1..).map(|(one, number)| layer(one, number)).collect();
    let config = layer(config, 0);
    let text =
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{}]}}"#, layers.join(","));
    match Document::parse(text.as_bytes()).unwrap() {
        Document::Manifest(manifest) => manifest,
        other => panic!("{other:?}"),
    }
}

const IMAGE: &str = "application/vnd.oci.image.config.v1+json";

#[test]
fn the_wasm_is_found_in_every_layout() {
    for (config, layers, number) in [
        (ARTIFACT, &["application/wasm"][..], 1),
        // wasm-to-oci and Istio.
        (
            "application/vnd.module.wasm.config.v1+json",
            &["application/vnd.module.wasm.content.layer.v1+wasm"],
            1,
        ),
        // Krustlet, wasmCloud 1 and WAGI.
        ("application/vnd.wasm.config.v1+json", &["application/vnd.wasm.content.layer.v1+wasm"], 1),
        // runwasi: an image of layers that are components, with others beside them.
        (
            IMAGE,
            &[
                "application/vnd.example.notes.v1+text",
                "application/vnd.bytecodealliance.wasm.component.layer.v0+wasm",
            ],
            2,
        ),
        (IMAGE, &["application/wasm"], 1),
        ("application/vnd.oci.empty.v1+json", &["application/wasm; charset=binary"], 1),
    ] {
        let manifest = manifest(config, layers);
        assert_eq!(manifest.wasm().unwrap().size, number, "{config} {layers:?}");
    }
}

#[test]
fn what_is_not_one_wasm_is_named() {
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    let wasm = "application/wasm";
    for (config, layers, error) in [
        (ARTIFACT, &[wasm, wasm][..], LayerError::Several(2)),
        (ARTIFACT, &[wasm, "text/plain"], LayerError::Several(2)),
        (IMAGE, &[wasm, wasm], LayerError::Several(2)),
        (IMAGE, &[tar], LayerError::Image),
        (IMAGE, &[docker], LayerError::Image),
        (SPIN, &["application/vnd.wasm.content.layer.v1+wasm"], LayerError::Spin),
        (
            "application/vnd.wasmcloud.provider.archive.config",
            &["application/vnd.wasmcloud.provider.archive.layer.v1+par"],
            LayerError::Native,
        ),
        (IMAGE, &["text/plain"], LayerError::None(vec!["text/plain".to_owned()])),
        (IMAGE, &[], LayerError::None(Vec::new())),
    ] {
        assert_eq!(manifest(config, layers).wasm(), Err(error), "{config} {layers:?}");
    }
}

fn index(platforms: &[&str]) -> Index {
    let entries: Vec<_> = platforms
        .iter()
        .zip(1..)
        .map(|(platform, number)| {
            let entry = layer("application/vnd.oci.image.manifest.v1+json", number);
            match platform.split_once('/') {
                Some((os, arch)) => entry.replace(
                    "\"size\"",
                    &format!(r#""platform":{{"os":"{os}","architecture":"{arch}"}},"size""#),
                ),
                None => entry,
            }
        })
        .collect();
    let text = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, entries.join(","));
    match Document::parse(text.as_bytes()).unwrap() {
        Document::Index(index) => index,
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_an_index_the_entry_for_wasm_is_taken() {
    for (platforms, number) in [
        (&["linux/amd64", "wasi/wasm"][..], 2),
        (&["wasip1/wasm", "linux/arm64"], 1),
        (&["linux/amd64", "wasip2/wasm"], 2),
        (&[""], 1),
    ] {
        assert_eq!(index(platforms).wasm().unwrap().size, number, "{platforms:?}");
    }
    let none = index(&["linux/amd64", "linux/arm64"]).wasm().unwrap_err();
    assert_eq!(none, LayerError::Platform(vec!["linux/amd64".into(), "linux/arm64".into()]));
    assert_eq!(index(&["wasip1/wasm", "wasip2/wasm"]).wasm(), Err(LayerError::Several(2)));
    assert_eq!(index(&[]).wasm(), Err(LayerError::Platform(Vec::new())));
}

#[test]
fn what_is_no_manifest_is_refused() {
    for text in ["", "[]", "{}", "<html>", r#"{"layers":7}"#, r#"{"layers":[{}]}"#] {
        assert!(matches!(Document::parse(text.as_bytes()), Err(ManifestError::Form(_))), "{text}");
    }
    // A terminal does as it is told: not by somebody else's manifest.
    let hostile =
        manifest(IMAGE, &["\\u001b]0;owned\\u0007", &"x".repeat(5000)]).wasm().unwrap_err();
    let said = hostile.to_string();
    assert!(said.len() < 1000 && !said.contains(char::is_control), "{said:?}");
    let other = r#"{"layers":[{"mediaType":"a","digest":"sha512:00","size":1}]}"#;
    let error = Document::parse(other.as_bytes()).unwrap_err();
    assert_eq!(error, ManifestError::Digest("sha512:00".to_owned()));
    assert_eq!(Document::parse(&vec![b' '; LARGEST + 1]), Err(ManifestError::Large));
}
