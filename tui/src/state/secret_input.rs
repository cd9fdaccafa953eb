//! A line that is typed and not kept: a password, which is never shown, or a code, which is while it is typed.

use zeroize::Zeroizing;

use aivonx_protocol::WireSecret;

/// Longest secret that can be typed, in bytes; room for it is made at once, so that no copy is left behind.
const MAX: usize = 1024;

/// The line. It can only be typed, taken back and cleared.
#[derive(Clone)]
pub(crate) struct SecretInput(Zeroizing<String>);

impl Default for SecretInput {
    fn default() -> Self {
        Self(Zeroizing::new(String::with_capacity(MAX)))
    }
}

impl std::fmt::Debug for SecretInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl SecretInput {
    /// One character more, unless it is full.
    pub(crate) fn push(&mut self, c: char) {
        if !c.is_control() && self.0.len() + c.len_utf8() <= MAX {
            self.0.push(c);
        }
    }

    /// One character less.
    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// What is known already is typed for the user.
    pub(crate) fn fill(&mut self, secret: &WireSecret) {
        self.clear();
        secret.expose().chars().for_each(|c| self.push(c));
    }

    /// Nothing any more.
    pub(crate) fn clear(&mut self) {
        use zeroize::Zeroize as _;
        self.0.zeroize();
        self.0.reserve(MAX);
    }

    /// What was typed, for what may be seen while it is typed, such as a code that is good once.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    /// How many characters.
    pub(crate) fn len(&self) -> usize {
        self.0.chars().count()
    }

    /// What was typed.
    pub(crate) fn secret(&self) -> WireSecret {
        WireSecret::new(self.0.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_typed_and_not_told() {
        let mut input = SecretInput::default();
        for c in "pä\u{7}ss".chars() {
            input.push(c);
        }
        assert_eq!((input.len(), input.secret().expose()), (4, "päss"));
        input.pop();
        assert_eq!(input.secret().expose(), "päs");
        assert_eq!(format!("{input:?}"), "[secret]");
        (0..2000).for_each(|_| input.push('x'));
        assert_eq!(input.secret().expose().len(), MAX);
        input.clear();
        assert_eq!(input.len(), 0);
    }
}
