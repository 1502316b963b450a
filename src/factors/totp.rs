//! Authenticator apps: codes from a shared seed and the time (RFC 6238).

use std::fmt;

use qrcode::{QrCode, render::svg};
use totp_rs::{Algorithm, Builder, Totp};

use crate::{secrets::Secret, types::Timestamp};

/// The seed of an authenticator app: 160 random bits.
pub type TotpSecret = Secret<Vec<u8>>;

/// How codes of authenticator apps are made and checked.
///
/// The default is what all apps know: SHA-1, six digits, thirty seconds, one step either side accepted.
/// That a code is accepted once only is not this trait's business: the step that
/// [`step_of`](Self::step_of) answers is compared with the last one in the database, by compare-and-set.
pub trait TotpProvider: Send + Sync + 'static {
    /// A new seed.
    ///
    /// # Errors
    ///
    /// [`TotpError`] if the system gives no randomness.
    fn generate(&self) -> Result<TotpSecret, TotpError>;

    /// The time step in which `code` is right, if it is in one that is accepted at `now`.
    fn step_of(&self, seed: &TotpSecret, code: &str, now: Timestamp) -> Option<i64>;

    /// The `otpauth://` URI that apps read, from a link or QR code.
    ///
    /// # Errors
    ///
    /// [`TotpError`] if one of the names cannot be in it.
    fn uri(&self, seed: &TotpSecret, issuer: &str, account: &str) -> Result<String, TotpError>;

    /// The URI as a QR code: an SVG image (ISO/IEC 18004).
    ///
    /// # Errors
    ///
    /// [`TotpError`] if it is too long for one.
    fn qr(&self, uri: &str) -> Result<String, TotpError> {
        let code = QrCode::new(uri).map_err(|error| TotpError(error.to_string()))?;
        Ok(code
            .render::<svg::Color<'_>>()
            .min_dimensions(240, 240)
            .quiet_zone(true)
            .build())
    }
}

/// Why there is no seed, URI or image.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TotpError(
    /// For the log.
    pub String,
);

impl fmt::Display for TotpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TotpError {}

/// What all apps know.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has nothing to set")]
pub struct StandardTotp;

/// Bytes of a seed, as RFC 4226, section 4, recommends.
const SEED: usize = 20;
/// Seconds of a step.
const STEP: u64 = 30;

fn builder(seed: &TotpSecret) -> Builder {
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(1)
        .with_step_duration(STEP)
        .with_secret(seed.expose().clone())
}

fn built(builder: Builder) -> Result<Totp, TotpError> {
    builder
        .build()
        .map_err(|error| TotpError(error.to_string()))
}

impl TotpProvider for StandardTotp {
    fn generate(&self) -> Result<TotpSecret, TotpError> {
        let mut seed = vec![0u8; SEED];
        match getrandom::fill(&mut seed) {
            Ok(()) => Ok(Secret::new(seed)),
            Err(error) => Err(TotpError(format!("no randomness: {error}"))),
        }
    }

    fn step_of(&self, seed: &TotpSecret, code: &str, now: Timestamp) -> Option<i64> {
        // Exactly six digits: what else people type was taken away before.
        if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let seconds = u64::try_from(now.as_millis().div_euclid(1_000)).ok()?;
        let step = built(builder(seed)).ok()?.check(code, seconds)?;
        i64::try_from(step).ok()
    }

    fn uri(&self, seed: &TotpSecret, issuer: &str, account: &str) -> Result<String, TotpError> {
        // A colon parts issuer and account in the label.
        let name = |text: &str| text.replace(':', " ");
        built(
            builder(seed)
                .with_account_name(name(account))
                .with_issuer(Some(name(issuer))),
        )?
        .to_url()
        .map_err(|error| TotpError(error.to_string()))
    }
}

/// The seed as it is typed into an app: base32 (RFC 4648) without padding.
pub(crate) fn key(seed: &TotpSecret) -> String {
    data_encoding::BASE32_NOPAD.encode(seed.expose())
}

/// The same in groups of four, for reading.
pub(crate) fn grouped(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|group| group.iter().collect())
        .collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, cut to six digits.
        let seed = Secret::new(b"12345678901234567890".to_vec());
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = time / 30;
            for (skew, taken) in [
                (-60, false),
                (-30, true),
                (0, true),
                (30, true),
                (60, false),
            ] {
                let found = StandardTotp.step_of(&seed, code, at(time + skew));
                assert_eq!(found, taken.then_some(step), "{code} {skew}");
            }
        }
        for wrong in [
            "",
            "28708",
            "2870820",
            "２８７０８２",
            "28708a",
            "-87082",
            " 287082",
        ] {
            assert_eq!(StandardTotp.step_of(&seed, wrong, at(59)), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_escaped_in_the_uri() {
        let seed = Secret::new(b"12345678901234567890".to_vec());
        let uri = StandardTotp
            .uri(&seed, "Ada & Söhne: Shop", "ada+1@example.com")
            .unwrap();
        assert!(uri.starts_with("otpauth://totp/"), "{uri}");
        assert!(
            uri.contains("secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"),
            "{uri}"
        );
        assert!(
            uri.is_ascii() && !uri.contains(' ') && !uri.contains("& "),
            "{uri}"
        );
        let svg = StandardTotp.qr(&uri).unwrap();
        assert!(svg.contains("<svg") && !svg.contains("script"));
        assert_eq!(
            grouped(&key(&seed)),
            "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ"
        );
    }
}
