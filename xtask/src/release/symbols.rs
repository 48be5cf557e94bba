//! The functions of a binary that ran when it was counted what runs.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;

/// Of the functions that ran, many are parts of others by now. Fewer than one in so many: they are called otherwise.
const FEW: usize = 20;

/// The symbols in a binary of functions that ran.
///
/// # Errors
/// When there are next to none: then what was counted is of a build whose functions are called otherwise, and was of no
/// use to the compiler.
pub(super) fn that_ran(binary: &Path, ran: &HashSet<String>) -> Result<Vec<String>> {
    let listed = process::capture(Command::new("nm").arg(binary))?;
    let there = those(&listed, ran);
    if there.len() < ran.len() / FEW {
        bail!(
            "of {} functions that ran, {} are in {} by their symbols: what was counted was not used",
            ran.len(),
            there.len(),
            binary.display()
        );
    }
    println!("{} of the functions that ran are in the binary by themselves", there.len());
    Ok(there)
}

fn those(listed: &str, ran: &HashSet<String>) -> Vec<String> {
    let functions = listed.lines().filter_map(|line| {
        let mut parts = line.split_whitespace().rev();
        let (symbol, kind) = (parts.next()?, parts.next()?);
        matches!(kind, "t" | "T").then_some(symbol)
    });
    // The linker tells those of several units apart by what it adds.
    let of = |symbol: &str| ran.contains(symbol.split_once(".llvm.").map_or(symbol, |(of, _)| of));
    let there: HashSet<_> = functions.filter(|symbol| of(symbol)).collect();
    let mut there: Vec<_> = there.into_iter().map(str::to_owned).collect();
    there.sort_unstable();
    there
}

#[cfg(test)]
mod tests {
    #[test]
    fn they_are_found_whatever_the_linker_adds() {
        let listed = "0000 T _ZN3one\n0001 t _ZN3two.llvm.123\n0002 t _ZN5never\n0003 d _ZN3one\n";
        let ran = ["_ZN3one", "_ZN3two", "_ZN4gone"].map(str::to_owned).into();
        assert_eq!(super::those(listed, &ran), ["_ZN3one", "_ZN3two.llvm.123"]);
    }
}
