use super::*;

fn fake() -> Environment {
    let all = || {
        ["APP_DB_PASSWORD=p", "APP_plain=q", "APP_=r", "HOME=/", "OTHER_APP_X=s"]
            .iter()
            .filter_map(|entry| entry.split_once('='))
            .map(|(name, value)| (name.into(), value.into()))
            .collect()
    };
    let one = |name: &str| match name {
        "APP_DB_PASSWORD" => Some("p".into()),
        "APP_plain" => Some("q".into()),
        "APP_" => Some("r".into()),
        "HOME" => Some("/".into()),
        _ => None,
    };
    Environment { prefix: "APP_".to_owned(), one, all }
}

#[tokio::test]
async fn names_are_those_of_variables_with_the_prefix() {
    let source = fake();
    for name in ["db-password", "db.password", "DB_PASSWORD", "db_password"] {
        assert_eq!(source.get(name).await, Ok(Some("p".into())), "{name}");
    }
    assert_eq!(source.get("plain").await, Ok(Some("q".into())));
    assert_eq!(source.get("home").await, Ok(None));
    let all = source.all(&"db-*".parse().unwrap()).await.unwrap();
    assert_eq!(all, [("db-password".to_owned(), "p".into())]);
}
