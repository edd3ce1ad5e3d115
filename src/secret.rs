//! Secrets in memory: how a text that came from a prompt, a file or a node gets into the type that hides and wipes it, how a text
//! with a secret in it is put together, and that no core dump of this process is ever written.
//!
//! What a library keeps of a secret on its way through (the SSH transport's buffers, a YAML parser's events) cannot be wiped from
//! here, which is why nobody gets to see this process's memory either. Knows nothing of what the secrets are for.

use std::fmt;
use std::io;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use secrecy::SecretString;
use secrecy::zeroize::Zeroizing;

/// No core dump of this process, and no other process of the same user reads its memory or its environment. Programs that it starts
/// are not concerned.
///
/// # Errors
/// When the kernel does not allow it (a strict seccomp filter).
pub fn keep_memory_private() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// A text as a secret; the memory that it was in is wiped. A plain conversion may leave a copy where it moves the text.
pub fn secret(text: String) -> SecretString {
    let text = Zeroizing::new(text);
    SecretString::from(text.as_str())
}

/// A text with secrets in it that is put together piece by piece. Where it outgrows its room, it moves, and the room that it leaves is
/// wiped. Does not show itself.
#[derive(Clone, Default)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    pub fn push_str(&mut self, piece: &str) {
        self.make_room(piece.len());
        self.0.push_str(piece);
    }

    pub fn push(&mut self, char: char) {
        self.push_str(char.encode_utf8(&mut [0; 4]));
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole as one secret.
    pub fn finish(self) -> SecretString {
        SecretString::from(self.as_str())
    }

    fn make_room(&mut self, more: usize) {
        let needed = self.0.len() + more;
        if needed > self.0.capacity() {
            let mut roomier = Zeroizing::new(String::with_capacity(needed.max(2 * self.0.capacity()).max(256)));
            roomier.push_str(&self.0);
            self.0 = roomier;
        }
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretText({} bytes)", self.0.len())
    }
}

/// For `write!`, which cannot fail on it.
impl fmt::Write for SecretText {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        self.push_str(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn a_text_of_pieces_is_whole_and_hidden() {
        let mut text = SecretText::default();
        let mut plain = String::new();
        for number in 0..500 {
            write!(text, "{number} ").unwrap();
            write!(plain, "{number} ").unwrap();
            text.push('é');
            plain.push('é');
        }
        assert_eq!(text.as_str(), plain);
        assert_eq!(format!("{text:?}"), format!("SecretText({} bytes)", plain.len()));
        assert_eq!(text.finish().expose_secret(), plain);
        assert_eq!(secret("open sesame".to_owned()).expose_secret(), "open sesame");
    }
}
