use super::*;

#[test]
fn addresses_are_read_and_modes_of_tls_understood() {
    let address = Address::parse("mysql://me:secret@db.example/shop").unwrap();
    assert_eq!((&*address.host, address.port, address.tls), ("db.example", 3306, None));
    for (query, tls) in [
        ("ssl-mode=DISABLED", Some(false)),
        ("sslMode=VERIFY_CA", Some(true)),
        ("ssl-mode=required&pool_max=200", Some(true)),
        ("pool_max=200", None),
    ] {
        let text = format!("mysql://me:secret@db.example:1/shop?{query}");
        assert_eq!(Address::parse(&text).unwrap().tls, tls, "{query}");
    }
}

#[test]
fn wrong_ones_say_why_and_show_no_password() {
    for text in [
        "mysql://db.example/shop",
        "postgres://me:secret@h/d",
        "secret",
        "mysql://me:secret@h/d?x=y",
    ] {
        let why = Address::parse(text).unwrap_err();
        assert!(!why.contains("secret"), "{why}");
    }
}
