//! How numbers are written for people.

/// A number with commas between thousands.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let shown: Vec<_> = [0, 7, 999, 1_000, 1_234_567].into_iter().map(thousands).collect();
        assert_eq!(shown, ["0", "7", "999", "1,000", "1,234,567"]);
    }
}
