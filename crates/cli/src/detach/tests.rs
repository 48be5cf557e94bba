#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn values_are_handed_on_where_nobody_else_sees_them() {
    let all = ["up", "-d", "--var", "a=1", "x", "--var=b=2", "--detach", "--", "--var", "-d"];
    let left = arguments(all.iter().map(OsString::from));
    assert_eq!(left, ["up", "x", "--", "--var", "-d"]);
    let vars = |all: &[(&str, &str)]| -> Vec<_> {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let given = vars(&[("to-k", "1"), ("to-k", "2"), ("x", "3")]);
    let held = environment(&given).unwrap();
    assert_eq!(held["REEF_VAR_TO_K"], "2");
    assert_eq!(held["REEF_VAR_X"], "3");
    assert!(environment(&vars(&[("a-b", "1"), ("a.b", "2")])).is_err());
}
