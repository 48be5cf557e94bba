//! Names of objects and containers as one component of a path.
//!
//! A name is one component, whatever is in it: `/`, `%` and control characters are written as `%` and two
//! hexadecimal digits, and so is a leading `.`: what begins with one is this crate's own.

use reef_capability::Failure;

/// The longest name of a file, in bytes (Linux: `NAME_MAX`).
const LONGEST: usize = 255;

/// The component. `what` is for the message.
pub(crate) fn encode(what: &'static str, name: &str) -> Result<String, Failure> {
    let file = encoded(name);
    let is = file.len();
    if is == 0 {
        return Err(Failure::Invalid(format!("the name of the {what} is empty")));
    }
    if is > LONGEST {
        let what = "name, as the name of a file";
        return Err(Failure::TooLarge { what, is: is as u64, most: LONGEST as u64 });
    }
    Ok(file)
}

/// The name that a component stands for, if it is one that [`encode`] makes.
pub(crate) fn decode(file: &[u8]) -> Option<String> {
    let file = std::str::from_utf8(file).ok()?;
    let name = percent_encoding::percent_decode_str(file).decode_utf8().ok()?;
    (!name.is_empty() && encoded(&name) == file).then(|| name.into_owned())
}

fn encoded(name: &str) -> String {
    let mut file = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        match c {
            '/' | '%' | '\0'..='\x1f' | '\x7f' => push(&mut file, c),
            '.' if at == 0 => push(&mut file, c),
            _ => file.push(c),
        }
    }
    file
}

/// `c` is one byte in UTF-8.
fn push(file: &mut String, c: char) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    let byte = c as usize & 0xff;
    file.extend(['%', DIGITS[byte >> 4], DIGITS[byte & 15]]);
}

#[cfg(test)]
mod tests;
