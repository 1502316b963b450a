//! Passwords for commands: by prompt, or by standard input.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use zeroize::Zeroizing;

use super::failure::Failure;

/// More than the longest password, so that one too long is told from one cut off.
const LONGEST_LINE: u64 = 8_192;

/// Where the password comes from; there is no option that takes it.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// Read the password from one line of standard input, and never prompt.
    #[arg(long)]
    password_stdin: bool,
}

impl Source {
    /// Prompts twice without echo at a terminal, else reads one line.
    pub(super) fn read(&self) -> Result<Zeroizing<String>, Failure> {
        let stdin = std::io::stdin();
        match (stdin.is_terminal(), self.password_stdin) {
            (true, false) => prompt(),
            (true, true) => Err(Failure::new(
                "standard input is a terminal, which would show the password; leave out --password-stdin to be prompted",
            )),
            (false, _) => line(stdin.lock()),
        }
    }
}

fn prompt() -> Result<Zeroizing<String>, Failure> {
    let ask = |prompt: &str| {
        rpassword::prompt_password(prompt)
            .map(Zeroizing::new)
            .map_err(|error| Failure::new(format!("the terminal cannot be read: {error}")))
    };
    let password = ask("Password: ")?;
    if *ask("Password, once more: ")? != *password {
        return Err(Failure::new("the two passwords are not the same"));
    }
    Ok(password)
}

fn line(input: impl BufRead) -> Result<Zeroizing<String>, Failure> {
    // With room at once: a buffer that grows leaves pieces of the password in the heap.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST_LINE as usize + 1));
    input
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut bytes)
        .map_err(|error| Failure::new(format!("standard input cannot be read: {error}")))?;
    let text =
        std::str::from_utf8(&bytes).map_err(|_| Failure::new("the password is not valid UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Failure::new(
            "no password came by standard input; write it there as one line",
        ));
    }
    Ok(Zeroizing::new(text.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_is_read_and_its_end_is_dropped() {
        assert_eq!(*line(&b"a secret \r\nmore\n"[..]).unwrap(), "a secret ");
        assert_eq!(*line(&b"no end"[..]).unwrap(), "no end");
        assert!(line(&b"\n"[..]).is_err());
        assert!(line(&b""[..]).is_err());
        assert!(line(&b"\xff\n"[..]).is_err());
    }

    #[test]
    fn an_endless_line_is_cut() {
        assert_eq!(
            line(std::io::BufReader::new(std::io::repeat(b'a')))
                .unwrap()
                .len(),
            LONGEST_LINE as usize
        );
    }
}
