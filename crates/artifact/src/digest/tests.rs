use super::*;

#[test]
fn the_empty_input_has_the_digest_of_the_standard() {
    let digest = Digest::of(b"");
    assert_eq!(
        digest.to_string(),
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
}

#[test]
fn text_form_reads_back() {
    let digest = Digest::of(b"reef");
    assert_eq!(digest.to_string().parse(), Ok(digest));
    assert_eq!(digest.to_string().to_uppercase().parse::<Digest>(), Err(ParseDigestError));
    assert_eq!(digest.hex().parse::<Digest>(), Err(ParseDigestError));
    assert_eq!("sha256:é".parse::<Digest>(), Err(ParseDigestError));
    assert_eq!(format!("{}0", digest).parse::<Digest>(), Err(ParseDigestError));
}
