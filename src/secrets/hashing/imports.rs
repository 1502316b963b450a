//! Hashes brought from elsewhere: bcrypt, PBKDF2 and scrypt, as passlib, Django and the PHC form
//! write them. They are verified only; nothing here makes one.
//!
//! bcrypt sees the first 72 bytes of a password and no more, so an imported bcrypt hash also matches
//! what differs only later. That is the nature of the old hash, and ends when it is replaced.

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use pbkdf2::pbkdf2_hmac;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// bcrypt doubles with each step; 16 takes some seconds.
const MAX_BCRYPT_COST: u32 = 16;
/// Rounds of PBKDF2 times blocks of output; five millions take some seconds.
const MAX_PBKDF2_WORK: u64 = 5_000_000;
/// Memory of scrypt in bytes, and memory times `p`, which is time.
const MAX_SCRYPT_MEMORY: u64 = 1 << 30;
const MAX_SCRYPT_WORK: u64 = 2 << 30;

/// A hash taken apart and found to be affordable.
pub(super) enum Imported {
    Bcrypt {
        hash: String,
        input: BcryptInput,
    },
    Pbkdf2 {
        function: Function,
        salt: Vec<u8>,
        rounds: u32,
        output: Vec<u8>,
    },
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
}

/// What bcrypt was given.
pub(super) enum BcryptInput {
    Password,
    /// Django: SHA-256 in hexadecimal.
    Hex,
    /// passlib, first version: SHA-256 in Base64.
    Base64,
    /// passlib, second version: HMAC-SHA256 under the salt as written, in Base64.
    Keyed(String),
}

#[derive(Clone, Copy)]
pub(super) enum Function {
    Sha1,
    Sha256,
    Sha512,
}

impl Function {
    fn size(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl Imported {
    /// `None` if the form is unknown or the hash would cost too much.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('$').collect();
        match parts[..] {
            ["", "2a" | "2b" | "2y", ..] => bcrypt(text.to_owned(), BcryptInput::Password),
            ["bcrypt", "", "2a" | "2b" | "2y", ..] => {
                bcrypt(text["bcrypt$".len()..].to_owned(), BcryptInput::Password)
            }
            ["bcrypt_sha256", "", "2a" | "2b" | "2y", ..] => {
                bcrypt(text["bcrypt_sha256$".len()..].to_owned(), BcryptInput::Hex)
            }
            ["", "bcrypt-sha256", params, salt, output] => {
                let (version, ident, rounds) = bcrypt_sha256_params(params)?;
                let input = match version {
                    1 => BcryptInput::Base64,
                    _ => BcryptInput::Keyed(salt.to_owned()),
                };
                bcrypt(format!("${ident}${rounds:02}${salt}{output}"), input)
            }
            [
                "",
                name @ ("pbkdf2-sha1" | "pbkdf2-sha256" | "pbkdf2-sha512"),
                params,
                salt,
                output,
            ] if params.starts_with("i=") => {
                let rounds = named(params, "i")?;
                let output = base64(output)?;
                if named::<usize>(params, "l").is_some_and(|length| length != output.len()) {
                    return None;
                }
                pbkdf2(function(name)?, base64(salt)?, rounds, output)
            }
            ["", name, rounds, salt, output] if name.starts_with("pbkdf2") => pbkdf2(
                function(name)?,
                base64(salt)?,
                rounds.parse().ok()?,
                base64(output)?,
            ),
            [name, rounds, salt, output] if name.starts_with("pbkdf2_") => pbkdf2(
                function(name)?,
                salt.as_bytes().to_vec(),
                rounds.parse().ok()?,
                base64(output)?,
            ),
            ["", "scrypt", params, salt, output] => scrypt(
                named(params, "ln")?,
                named(params, "r")?,
                named(params, "p")?,
                base64(salt)?,
                base64(output)?,
            ),
            ["scrypt", n, salt, r, p, output] => {
                let n: u64 = n.parse().ok()?;
                scrypt(
                    n.is_power_of_two().then(|| n.ilog2() as u8)?,
                    r.parse().ok()?,
                    p.parse().ok()?,
                    salt.as_bytes().to_vec(),
                    base64(output)?,
                )
            }
            _ => None,
        }
    }

    /// Whether `password` gives this hash; compared in constant time.
    pub(super) fn verify(&self, password: &str) -> bool {
        let password = password.as_bytes();
        match self {
            Self::Bcrypt { hash, input } => {
                let given = match input {
                    BcryptInput::Password => Zeroizing::new(password.to_vec()),
                    BcryptInput::Hex => text_of(HEXLOWER.encode(&Sha256::digest(password))),
                    BcryptInput::Base64 => text_of(BASE64.encode(&Sha256::digest(password))),
                    BcryptInput::Keyed(salt) => {
                        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(salt.as_bytes()) else {
                            return false;
                        };
                        mac.update(password);
                        text_of(BASE64.encode(&mac.finalize().into_bytes()))
                    }
                };
                bcrypt::verify(given.as_slice(), hash).unwrap_or(false)
            }
            Self::Pbkdf2 {
                function,
                salt,
                rounds,
                output,
            } => {
                let mut derived = vec![0u8; output.len()];
                match function {
                    Function::Sha1 => pbkdf2_hmac::<Sha1>(password, salt, *rounds, &mut derived),
                    Function::Sha256 => {
                        pbkdf2_hmac::<Sha256>(password, salt, *rounds, &mut derived);
                    }
                    Function::Sha512 => {
                        pbkdf2_hmac::<Sha512>(password, salt, *rounds, &mut derived);
                    }
                }
                derived.ct_eq(output).into()
            }
            Self::Scrypt {
                params,
                salt,
                output,
            } => {
                let mut derived = vec![0u8; output.len()];
                scrypt::scrypt(password, salt, params, &mut derived).is_ok()
                    && bool::from(derived.ct_eq(output))
            }
        }
    }
}

fn text_of(text: String) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(text.into_bytes())
}

fn bcrypt(hash: String, input: BcryptInput) -> Option<Imported> {
    let parts: bcrypt::HashParts = hash.parse().ok()?;
    (4..=MAX_BCRYPT_COST)
        .contains(&parts.get_cost())
        .then_some(Imported::Bcrypt { hash, input })
}

/// `v=2,t=2b,r=12`, or `2b,12` in the first version.
fn bcrypt_sha256_params(params: &str) -> Option<(u8, &str, u32)> {
    let (version, ident, rounds) = match params.strip_prefix("v=2,") {
        Some(rest) => {
            let (ident, rounds) = rest.split_once(',')?;
            (2, ident.strip_prefix("t=")?, rounds.strip_prefix("r=")?)
        }
        None => {
            let (ident, rounds) = params.split_once(',')?;
            (1, ident, rounds)
        }
    };
    matches!(ident, "2a" | "2b" | "2y").then_some((version, ident, rounds.parse().ok()?))
}

fn function(name: &str) -> Option<Function> {
    match name {
        "pbkdf2" | "pbkdf2-sha1" | "pbkdf2_sha1" => Some(Function::Sha1),
        "pbkdf2-sha256" | "pbkdf2_sha256" => Some(Function::Sha256),
        "pbkdf2-sha512" | "pbkdf2_sha512" => Some(Function::Sha512),
        _ => None,
    }
}

fn pbkdf2(function: Function, salt: Vec<u8>, rounds: u32, output: Vec<u8>) -> Option<Imported> {
    let work = u64::from(rounds) * output.len().div_ceil(function.size()) as u64;
    (rounds > 0 && work <= MAX_PBKDF2_WORK && is_sound(&output)).then_some(Imported::Pbkdf2 {
        function,
        salt,
        rounds,
        output,
    })
}

fn scrypt(log_n: u8, r: u32, p: u32, salt: Vec<u8>, output: Vec<u8>) -> Option<Imported> {
    let memory = 128u64
        .checked_mul(r.into())?
        .checked_mul(1u64.checked_shl(log_n.into())?)?;
    let affordable =
        memory <= MAX_SCRYPT_MEMORY && p <= 64 && memory.checked_mul(p.into())? <= MAX_SCRYPT_WORK;
    if !affordable || !is_sound(&output) {
        return None;
    }
    // Only now: the arithmetic of `Params` overflows on numbers that are out of bounds.
    let params = scrypt::Params::new(log_n, r, p).ok()?;
    Some(Imported::Scrypt {
        params,
        salt,
        output,
    })
}

/// A hash cut to a few bytes would match by chance; a very long one only costs.
fn is_sound(output: &[u8]) -> bool {
    (16..=64).contains(&output.len())
}

/// Base64, padded or not; passlib writes `.` for `+`.
fn base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('.', "+");
    BASE64_NOPAD.decode(text.as_bytes()).ok()
}

/// The number `name=..` in a list divided by commas.
fn named<T: std::str::FromStr>(params: &str, name: &str) -> Option<T> {
    params
        .split(',')
        .find_map(|one| one.strip_prefix(name)?.strip_prefix('='))?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use crate::secrets::{
        Hasher, HashingSettings, Password, PasswordHash, Secret, Verdict, hashing::is_supported,
    };

    const PASSWORD: &str = "Gr\u{fc}\u{df}e, Hase 17";

    fn hasher(salts: &[&str]) -> Hasher {
        Hasher::new(&HashingSettings {
            memory_kib: 8 * 1024,
            iterations: 1,
            threads: 1,
            hmac_salts: salts
                .iter()
                .map(|salt| Secret::new((*salt).to_owned()))
                .collect(),
            ..HashingSettings::default()
        })
        .unwrap()
    }

    fn verify(hasher: &Hasher, raw: &str, stored: &str) -> Option<Option<PasswordHash>> {
        let stored = PasswordHash::from_stored(stored.to_owned());
        let password = Password::parse(raw).unwrap();
        match hasher.verify_blocking(&password, Some(&stored)).unwrap() {
            Verdict::Match { upgrade } => Some(upgrade),
            Verdict::Mismatch => None,
        }
    }

    fn each_is_verified_and_renewed(hasher: &Hasher, all: &[&str]) {
        for stored in all {
            assert!(is_supported(stored), "{stored}");
            let upgrade = verify(hasher, PASSWORD, stored).expect(stored).unwrap();
            assert!(
                verify(hasher, PASSWORD, upgrade.as_stored())
                    .unwrap()
                    .is_none()
            );
            assert!(verify(hasher, "Gr\u{fc}\u{df}e, Hase 18", stored).is_none());
        }
    }

    // Made with passlib 1.7.4, bcrypt 4.0.1 and Django 5.2.19.
    #[test]
    fn hashes_of_passlib() {
        each_is_verified_and_renewed(
            &hasher(&[]),
            &[
                "$2b$05$Hya2ZwZfEJjQy1tcswOAZOR.U7ECXjUfVZmObxwWPaRYX8gD0z5Te",
                "$2a$05$s7PstecP8P/aApLxzAkL/.jSrQuDyptTD7ZkAf6YftMHSbIcInMwa",
                "$2y$05$AKMhsvHXg1JbzlBOesTv8ezQmG4LOznEtUPBZgnCwwJMwpvKFz/n.",
                "$bcrypt-sha256$v=2,t=2b,r=5$ZlBSwhZEZinsvQJwaAHafO$ginFddBhwmuG51Sp7ZcF6chzT..kq3m",
                "$bcrypt-sha256$2b,5$ggXsvL9PvE9.uDdsOVADde$10np6w1rAiaQppw4yFX8oBJxb54Ys1a",
                "$pbkdf2-sha256$2900$kBLifO8dQwjh3JuTkrL2Xg$JI8vN8Ba2Zj8asczFYYIhnaVWPY5Bb9tvVmcczO1elg",
                "$pbkdf2-sha512$2500$zdn7HwNAiNH6v1cKoRQipA$DivUyHA8Q/zrQ5EaVT1o5YXonwkRr28joGes.9fE5HgMZ1XCD1CT5jJw78i/H8u23QA6UPbIY0njnCWQzwxMJA",
                "$pbkdf2$1310$BuBci9G6VyoFYCzlPMeYkw$wKdXH4H87MU.5diG.dfcWZeMLuI",
                "$scrypt$ln=10,r=8,p=1$VwrhvLf2Puf8v9caw9h7jw$zW5R+tBEcFXOQFEIowCIf9Rs9rkY0AKlOgIzJltXJio",
            ],
        );
    }

    #[test]
    fn hashes_of_django() {
        each_is_verified_and_renewed(
            &hasher(&[]),
            &[
                "pbkdf2_sha256$2000$XYL1Xkm3fTWwSc27V468q1$2VMBi3DknXJPmGheSw0WHBwlQp6fDl4wRr6gB+S9Xy0=",
                "pbkdf2_sha1$2000$uBKHkYR4lcZseGKlqOOEJ1$7ypl3uf5NXQNVKC2h4So4VfksiQ=",
                "bcrypt_sha256$$2b$05$j32eGeEwreIO49VHhfG1xu1//1RWo.1reLkQCh/nhWzEzKXenKBt2",
                "bcrypt$$2b$05$7SsnOcPg/7dKbde7JGTIvO0RtYwu4fecRVpZGiyTIul9/Ek4FEv1e",
                "scrypt$1024$8CKR90lcLiR6oDoTU8zoh5$8$5$Y0L+EV6z+uwVatAeFM+AoX8uHkJ/jZnF9bGJ5SKYRuufsPs7GNsS0UbUcY07LLu1hD0Wl+2XzGxLTKIQG+X6Rw==",
            ],
        );
    }

    #[test]
    fn the_phc_form_of_pbkdf2() {
        // The hash of passlib above in the other notation.
        each_is_verified_and_renewed(
            &hasher(&[]),
            &[
                "$pbkdf2-sha256$i=2900,l=32$kBLifO8dQwjh3JuTkrL2Xg$JI8vN8Ba2Zj8asczFYYIhnaVWPY5Bb9tvVmcczO1elg",
            ],
        );
    }

    #[test]
    fn hashes_of_a_keyed_form_need_its_salt() {
        let all = [
            "$2b$05$nN8G3h.wLe2BDwxRWqhayOSinauwf/vQikf0Y7rTIIECFHDy8Tahi",
            "$pbkdf2-sha512$2500$ROi9N2ZMyflfa60VQohR6g$o4aTHq8p5ANwNnl8fkOmWqR78bY..3AFVq4B4jGQAVzQz5/eGDGW6MdZlzqFVJdRqHF73WwxRVicZ1muiFflOA",
            "$scrypt$ln=10,r=8,p=1$uZdyrrWWco5xbo1RqhUCgA$Jzq33VYS/O1WyfbjuRt5DjrozffxlzxPm/9N8vkVQek",
        ];
        each_is_verified_and_renewed(&hasher(&["another-salt", "not-a-secret-salt-12345"]), &all);
        for stored in all {
            assert!(verify(&hasher(&[]), PASSWORD, stored).is_none());
        }
    }

    #[test]
    fn decomposed_and_raw_forms_are_tried() {
        let hasher = hasher(&[]);
        let decomposed = "$pbkdf2-sha256$1500$RQghhJCScu7d.18rxbj3fg$.ACvnkyr..LADGQPaNeZ6x9jj4vcXBCL2O9gHWaf4jQ";
        assert!(verify(&hasher, PASSWORD, decomposed).is_some());
        let raw = "$pbkdf2-sha256$1500$8z5nzNkbo3TOubc2Rug9Rw$ME9on.Ojm4CwbPOEA/Dh1Ehv2E2HSuI./stSMTZnl7Y";
        assert!(verify(&hasher, "\u{fb01}sh and \u{fb03} chips \u{c5}", raw).is_some());
    }

    #[test]
    fn what_bcrypt_does_not_see_counts_again_once_the_hash_is_renewed() {
        let hasher = hasher(&[]);
        let stored = "$2b$05$1GF1unUb4egZL08ICyUrKev70N4f72/HTNIBP0wv.kiT66GP3d3dy";
        assert!(verify(&hasher, &"x".repeat(72), stored).is_some());
        let renewed = verify(&hasher, &"x".repeat(80), stored).unwrap().unwrap();
        assert!(verify(&hasher, &"x".repeat(80), renewed.as_stored()).is_some());
        assert!(verify(&hasher, &"x".repeat(72), renewed.as_stored()).is_none());
    }

    #[test]
    fn hashes_that_cost_minutes_or_match_by_chance_are_not_taken() {
        for stored in [
            "$2b$20$Hya2ZwZfEJjQy1tcswOAZOR.U7ECXjUfVZmObxwWPaRYX8gD0z5Te",
            "$2x$05$Hya2ZwZfEJjQy1tcswOAZOR.U7ECXjUfVZmObxwWPaRYX8gD0z5Te",
            "$pbkdf2-sha256$4000000000$kBLifO8dQwjh3JuTkrL2Xg$JI8vN8Ba2Zj8asczFYYIhnaVWPY5Bb9tvVmcczO1elg",
            "$pbkdf2-sha256$0$kBLifO8dQwjh3JuTkrL2Xg$JI8vN8Ba2Zj8asczFYYIhnaVWPY5Bb9tvVmcczO1elg",
            "$pbkdf2-sha256$2900$kBLifO8dQwjh3JuTkrL2Xg$JI8v",
            "$scrypt$ln=30,r=8,p=1$VwrhvLf2Puf8v9caw9h7jw$zW5R+tBEcFXOQFEIowCIf9Rs9rkY0AKlOgIzJltXJio",
            "$scrypt$ln=255,r=8,p=1$VwrhvLf2Puf8v9caw9h7jw$zW5R+tBEcFXOQFEIowCIf9Rs9rkY0AKlOgIzJltXJio",
            "$scrypt$ln=10,r=8,p=4000000000$VwrhvLf2Puf8v9caw9h7jw$zW5R+tBEcFXOQFEIowCIf9Rs9rkY0AKlOgIzJltXJio",
            "scrypt$1000$8CKR90lcLiR6oDoTU8zoh5$8$5$Y0L+EV6z+uwVatAeFM+AoX8uHkJ/jZnF9bGJ5SKYRuufsPs7GNsS0UbUcY07LLu1hD0Wl+2XzGxLTKIQG+X6Rw==",
            "bcrypt$$2b$05$\u{fc}",
            "$$$$$",
            "$",
        ] {
            assert!(!is_supported(stored), "{stored}");
        }
    }
}
