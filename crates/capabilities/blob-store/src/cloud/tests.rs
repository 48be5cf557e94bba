use super::*;

#[test]
fn a_key_is_the_name_as_it_is_or_none() {
    for name in ["a", "a/b", ".hidden", "ä b", "50%", "a%2Fb", "\\", "*?#"] {
        assert_eq!(exact(name).unwrap().as_ref(), name);
    }
    for name in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/.", "a\nb", "\0"] {
        assert_eq!(exact(name), None, "{name:?}");
    }
}

#[test]
fn a_status_is_read_off_the_librarys_text() {
    let said = "Generic S3 error: Error performing PUT http://h/b/k in 3ms - \
                Server returned non-2xx status code: 503 Service Unavailable: <x/>";
    assert_eq!(status(said), Some(503));
    assert_eq!(status("status code: "), None);
    assert_eq!(status("status code: é3"), None);
    assert_eq!(status("nothing"), None);
}
