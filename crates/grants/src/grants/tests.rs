#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::{Access, DirGrant, EnvGrant, ScratchGrant, VolumeGrant};

#[test]
fn directories_are_read() {
    let read = |text: &str| text.parse::<DirGrant>().unwrap();
    assert_eq!(
        read("./data"),
        DirGrant { host: "./data".into(), guest: "./data".into(), access: Access::ReadWrite }
    );
    assert_eq!(
        read("/srv/a:b::/data:ro"),
        DirGrant { host: "/srv/a:b".into(), guest: "/data".into(), access: Access::ReadOnly }
    );
    assert_eq!(read("/srv:ro").access, Access::ReadOnly);
    for text in ["", "::", "::/data", "/srv::", ":ro", "/a::/b::/c"] {
        assert!(text.parse::<DirGrant>().is_err(), "{text}");
    }
}

#[test]
fn variables_are_read() {
    let read = |text: &str| text.parse::<EnvGrant>().unwrap();
    assert_eq!(read("A=b=c"), EnvGrant { key: "A".into(), value: Some("b=c".into()) });
    assert_eq!(read("A="), EnvGrant { key: "A".into(), value: Some(String::new()) });
    assert_eq!(read("A"), EnvGrant { key: "A".into(), value: None });
    for text in ["", "=b", "A\0=b"] {
        assert!(text.parse::<EnvGrant>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn directories_survive_display(host in "[a-z./]{1,12}", guest in "/[a-z/]{0,12}", ro: bool) {
        let access = if ro { Access::ReadOnly } else { Access::ReadWrite };
        let grant = DirGrant { host: host.into(), guest, access };
        prop_assert_eq!(grant.to_string().parse::<DirGrant>().unwrap(), grant);
    }

    #[test]
    fn no_text_panics(text: String) {
        let _ = text.parse::<DirGrant>();
        let _ = text.parse::<EnvGrant>();
    }
}

#[test]
fn scratch_directories_and_volumes_are_read_as_they_are_written() {
    let scratch: ScratchGrant = "64MiB".parse().unwrap();
    assert_eq!((scratch.quota.0, &*scratch.guest), (64 << 20, "/tmp"));
    let elsewhere: ScratchGrant = "1k::/var/cache".parse().unwrap();
    assert_eq!(elsewhere.guest, "/var/cache");
    for one in [scratch, elsewhere] {
        assert_eq!(one.to_string().parse(), Ok(one));
    }
    for wrong in ["", "0", "much", "1MiB::", "1MiB::tmp", "1MiB::/", "::/tmp"] {
        assert!(wrong.parse::<ScratchGrant>().is_err(), "{wrong}");
    }
    let volume: VolumeGrant = "shared::/data:ro".parse().unwrap();
    assert_eq!((&*volume.volume, &*volume.guest), ("shared", "/data"));
    assert_eq!(volume.access, Access::ReadOnly);
    assert_eq!(volume.to_string().parse(), Ok(volume));
    for wrong in ["", "shared", "shared::data", "::/data", "shared::"] {
        assert!(wrong.parse::<VolumeGrant>().is_err(), "{wrong}");
    }
}
