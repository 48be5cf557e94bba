use super::*;

fn challenged(values: &[&'static str]) -> Result<Challenge, String> {
    let values = values.iter().map(|value| HeaderValue::from_static(value));
    challenge(&values.map(|value| (header::WWW_AUTHENTICATE, value)).collect())
}

#[test]
fn a_token_is_preferred_to_a_password() {
    let bearer = |service: &str, scope: Option<&str>| {
        Ok(Challenge::Bearer {
            realm: "https://auth.example.com/token".to_owned(),
            service: Some(service.to_owned()),
            scope: scope.map(str::to_owned),
        })
    };
    for (values, expected) in [
        (
            &[
                r#"Bearer realm="https://auth.example.com/token",service="a b",scope="repository:x:pull,push""#,
            ][..],
            bearer("a b", Some("repository:x:pull,push")),
        ),
        (
            &[r#"Basic realm="x""#, r#"bearer Service=a, Realm="https://auth.example.com/token""#],
            bearer("a", None),
        ),
        (&[r#"Basic realm="x""#], Ok(Challenge::Basic)),
        (&[r#"Bearer service="x""#], Err("Bearer".to_owned())),
        (&[r#"Digest realm="x", nonce="1""#, "Negotiate"], Err("Digest, Negotiate".to_owned())),
        (&[], Err(String::new())),
    ] {
        assert_eq!(challenged(values), expected, "{values:?}");
    }
}

#[test]
fn secrets_are_not_printed() {
    assert_eq!(format!("{:?}", basic("me", "hush")), "Some(Sensitive)");
}
