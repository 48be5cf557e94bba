use super::*;

fn active(name: &str, at: u64, size: Option<u64>) -> Active {
    let since = Instant::now().checked_sub(Duration::from_secs(2)).unwrap_or_else(Instant::now);
    Active { name: name.to_owned(), size, at, since }
}

#[test]
fn a_line_says_how_much_of_what_is_there_and_how_fast_it_comes() {
    let one = [active("oci://a/b:1", 3 << 20, Some(12 << 20))];
    let said = line(one.iter());
    assert!(said.starts_with("Downloading oci://a/b:1: 3MiB of 12MiB, 1.5MiB/s"), "{said}");
    let two = [active("a", 1 << 20, Some(2 << 20)), active("b", 1 << 20, Some(4 << 20))];
    assert!(line(two.iter()).starts_with("Downloading 2 artifacts: 2MiB of 6MiB, "));
    let unknown = [active("a", 1 << 20, Some(2 << 20)), active("b", 1 << 20, None)];
    assert!(line(unknown.iter()).starts_with("Downloading 2 artifacts: 2MiB, "));
    let long = format!("oci://registry.example.com/{}/hello:1.0", "part/".repeat(20));
    let said = short(&long);
    assert_eq!(said.chars().count(), LONGEST_NAME);
    assert!(said.starts_with('…') && said.ends_with("/hello:1.0"), "{said}");
}
