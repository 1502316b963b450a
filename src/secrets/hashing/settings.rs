//! The settings of password hashing.

use std::time::Duration;

use serde::Deserialize;

use super::argon::{MAX_ITERATIONS, MAX_MEMORY_KIB, MAX_WORK_KIB};
use crate::secrets::Secret;

/// How passwords are hashed and on how many threads.
///
/// The costs default to what OWASP's Password Storage Cheat Sheet asks of Argon2id at least. Raise
/// them at will: each stored hash is renewed when its owner next signs in.
///
/// ```
/// use rocket_security::config::HashingSettings;
/// let mut settings = HashingSettings::default();
/// settings.iterations = 3;
/// assert_eq!(settings.memory_kib, 19_456);
/// assert!(settings.validate().is_ok());
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct HashingSettings {
    /// Memory of one hash in KiB (RFC 9106, `m`); each thread keeps as much. _Default: 19456._
    pub memory_kib: u32,
    /// Passes over the memory (RFC 9106, `t`). _Default: 2._
    pub iterations: u32,
    /// Lanes (RFC 9106, `p`). They are computed one after the other, so more than one is useful
    /// for compatibility only. _Default: 1._
    pub parallelism: u32,
    /// Threads that hash, 0 for as many as there are cores. _Default: 0._
    pub threads: usize,
    /// How many may wait for a thread; one more is told to come again later. _Default: 256._
    pub queue: usize,
    /// How long each of them may wait for it. _Default: 10 s._
    #[serde(with = "crate::types::span")]
    pub queue_wait: Duration,
    /// Secrets that are not in the database and that every hash needs, the current one first (the
    /// "pepper" of NIST SP 800-63B, section 5.1.1.2; the secret `K` of RFC 9106). The hash names its
    /// own, so to rotate put the new one in front and keep the old ones until all have signed in.
    /// Lose one and its hashes are lost. _Default: none._
    pub peppers: Vec<Secret<String>>,
    /// Salts of hashes that another system made of the Base64 of HMAC-SHA512(salt, password). Each
    /// one makes a wrong password cost one more hash, so remove them when the last has signed in;
    /// at most four. _Default: none._
    pub hmac_salts: Vec<Secret<String>>,
}

impl Default for HashingSettings {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            iterations: 2,
            parallelism: 1,
            threads: 0,
            queue: 256,
            queue_wait: Duration::from_secs(10),
            peppers: Vec::new(),
            hmac_salts: Vec::new(),
        }
    }
}

impl HashingSettings {
    /// Checks that the settings make sense together.
    ///
    /// # Errors
    ///
    /// A sentence that names the key at fault and what it may be.
    pub fn validate(&self) -> Result<(), String> {
        let within = |key: &str, value: u64, least: u64, most: u64| {
            if (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!(
                    "`{key}` is {value}; it must lie between {least} and {most}"
                ))
            }
        };
        within(
            "memory_kib",
            self.memory_kib.into(),
            8 * 1024,
            MAX_MEMORY_KIB.into(),
        )?;
        within(
            "iterations",
            self.iterations.into(),
            1,
            MAX_ITERATIONS.into(),
        )?;
        if u64::from(self.memory_kib) * u64::from(self.iterations) > MAX_WORK_KIB {
            return Err(format!(
                "`memory_kib` times `iterations` is more than {MAX_WORK_KIB}; such a hash takes seconds"
            ));
        }
        within("parallelism", self.parallelism.into(), 1, 64)?;
        within("threads", self.threads as u64, 0, 256)?;
        within("queue", self.queue as u64, 1, 65_536)?;
        within("queue_wait", self.queue_wait.as_secs(), 1, 300)?;
        within(
            "hmac_salts (their number)",
            self.hmac_salts.len() as u64,
            0,
            4,
        )?;
        if self.peppers.iter().any(|one| one.expose().len() < 16) {
            return Err("`peppers` holds one shorter than 16 bytes".to_owned());
        }
        let repeated = self
            .peppers
            .iter()
            .enumerate()
            .any(|(place, one)| self.peppers[..place].contains(one));
        if repeated {
            return Err("`peppers` holds one twice".to_owned());
        }
        if self.hmac_salts.iter().any(|one| one.expose().is_empty()) {
            return Err("`hmac_salts` holds an empty one".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_by_name() {
        let refusal = |change: fn(&mut HashingSettings)| {
            let mut settings = HashingSettings::default();
            change(&mut settings);
            settings.validate().unwrap_err()
        };
        assert!(HashingSettings::default().validate().is_ok());
        assert!(refusal(|s| s.memory_kib = 1024).contains("`memory_kib`"));
        assert!(refusal(|s| s.iterations = 0).contains("`iterations`"));
        assert!(refusal(|s| s.parallelism = 0).contains("`parallelism`"));
        assert!(refusal(|s| s.queue = 0).contains("`queue`"));
        assert!(refusal(|s| s.queue_wait = Duration::from_secs(0)).contains("`queue_wait`"));
        assert!(refusal(|s| s.peppers = vec![Secret::new("short".into())]).contains("`peppers`"));
        assert!(refusal(|s| s.peppers = vec![Secret::new("x".repeat(16)); 2]).contains("twice"));
        assert!(refusal(|s| s.hmac_salts = vec![Secret::new(String::new())]).contains("empty"));
        let heavy = |s: &mut HashingSettings| (s.memory_kib, s.iterations) = (1 << 20, 64);
        let mut settings = HashingSettings::default();
        heavy(&mut settings);
        assert!(settings.validate().unwrap_err().contains("seconds"));
    }

    #[test]
    fn unknown_keys_are_refused() {
        assert!(toml::from_str::<HashingSettings>("memory = 1").is_err());
        let settings: HashingSettings = toml::from_str("queue_wait = \"2 s\"").unwrap();
        assert_eq!(settings.queue_wait, Duration::from_secs(2));
    }
}
