use super::*;

#[test]
fn addresses_are_read_as_libpq_reads_them() {
    let address = Address::parse("postgres://me:secret@db.example/shop").unwrap();
    assert_eq!(address.hosts(), [("db.example".to_owned(), 5432)]);
    assert_eq!(address.database(), Some("shop"));
    let address = Address::parse("host=a,b port=1,2 user=me sslmode=disable").unwrap();
    assert_eq!(address.hosts(), [("a".to_owned(), 1), ("b".to_owned(), 2)]);
    assert_eq!(address.database(), Some("me"));
    assert!(!address.wants_tls());
    assert!(Address::parse("postgres://me@h/d?sslmode=verify-full").unwrap().wants_tls());
}

#[test]
fn wrong_ones_say_why_and_show_no_password() {
    assert_eq!(Address::parse("postgres://h/d"), Err(AddressError::NoUser));
    assert_eq!(Address::parse("postgres://me@/d"), Err(AddressError::NoHost));
    assert_eq!(Address::parse("host=/run/pg user=me"), Err(AddressError::UnixSocket));
    for text in ["postgres://me:secret@h:port/d", "user=me password=secret host", "secret"] {
        let error = Address::parse(text).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
    let address = Address::parse("postgres://me:secret@h/d").unwrap();
    assert!(!format!("{address:?}").contains("secret"));
}
