use std::collections::BTreeSet;

use super::*;

fn all() -> Vec<Guest> {
    discover(&Workspace::find().unwrap()).unwrap()
}

#[test]
fn every_crate_of_the_rust_guests_has_a_manifest_that_says_how_it_is_built() {
    let workspace = Workspace::find().unwrap();
    let known: BTreeSet<PathBuf> = all().into_iter().map(|guest| guest.folder).collect();
    for place in ["guests/rust", "guests/spin", "guests/wasmcloud", "examples"] {
        for entry in fs::read_dir(workspace.path(place)).unwrap() {
            let folder = entry.unwrap().path();
            if folder.join("Cargo.toml").is_file() {
                assert!(known.contains(&folder), "{} has no guest.toml", folder.display());
            }
        }
    }
}

#[test]
fn guests_have_names_of_their_own_and_those_in_rust_a_target() {
    let guests = all();
    let names: BTreeSet<&str> = guests.iter().map(|guest| &*guest.name).collect();
    assert_eq!(names.len(), guests.len());
    for guest in &guests {
        if guest.manifest.language == Language::Rust {
            assert!(guest.manifest.target.is_some(), "{}", guest.name);
        }
    }
}

#[test]
fn a_name_that_is_no_guest_is_refused_with_the_names_that_are() {
    let error = Wanted::named(vec!["nobody".to_owned()]).select(all()).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("nobody") && text.contains("p1-hello"), "{text}");
}

#[test]
fn an_unknown_key_in_a_manifest_is_refused() {
    assert!(toml::from_str::<Manifest>("language = \"c\"\noptimise = true").is_err());
    assert!(toml::from_str::<Manifest>("language = \"cobol\"").is_err());
}
