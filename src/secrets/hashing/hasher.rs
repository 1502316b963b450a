//! The hasher of a site: what it is asked for is done by its threads.

#[cfg(any(test, feature = "testing"))]
use std::sync::atomic::Ordering;
use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
};

use zeroize::Zeroizing;

use super::{
    argon::Recipe,
    engine::{Engine, Verdict},
    error::HashError,
    pool::{Memory, Pool},
    settings::HashingSettings,
};
use crate::secrets::password::{Password, PasswordHash};

/// Hashes and verifies passwords. Cheap to clone; the threads end with the last clone.
///
/// ```
/// # rocket::async_test(async {
/// use rocket_security::{Hasher, Password, Verdict, config::HashingSettings};
///
/// let hasher = Hasher::new(&HashingSettings::default()).unwrap();
/// let password = Password::parse("a long and winding road").unwrap();
/// let hash = hasher.hash(&password).await.unwrap();
/// let verdict = hasher.verify(&password, Some(&hash)).await.unwrap();
/// assert!(matches!(verdict, Verdict::Match { upgrade: None }));
/// # });
/// ```
#[derive(Clone)]
pub struct Hasher {
    engine: Arc<Engine>,
    pool: Arc<Pool>,
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}

impl Hasher {
    /// Starts the threads. Their memory is taken at the first hash.
    ///
    /// # Errors
    ///
    /// A sentence: what is wrong with the settings, or why there are no threads.
    pub fn new(settings: &HashingSettings) -> Result<Self, String> {
        settings.validate()?;
        let recipe = Recipe::new(settings).map_err(|error| format!("Argon2: {error}"))?;
        let pool = Pool::start(
            settings.threads,
            settings.queue,
            settings.queue_wait,
            recipe.blocks(),
        )
        .map_err(|error| format!("cannot start the threads that hash: {error}"))?;
        let engine = Engine {
            recipe,
            hmac_salts: settings.hmac_salts.clone(),
            done: AtomicU64::new(0),
        };
        Ok(Self {
            engine: Arc::new(engine),
            pool: Arc::new(pool),
        })
    }

    /// Hashes a password with the current parameters.
    ///
    /// # Errors
    ///
    /// [`HashError::Overloaded`] if too many wait, [`HashError::Failed`] without memory or
    /// randomness.
    pub async fn hash(&self, password: &Password) -> Result<PasswordHash, HashError> {
        let engine = Arc::clone(&self.engine);
        let text = Zeroizing::new(password.expose().to_owned());
        self.pool
            .run(move |memory| engine.hash(&text, memory))
            .await?
    }

    /// Verifies a password against the stored hash of an account.
    ///
    /// Call it with `None` where there is no account: it takes as long. The same goes for a hash
    /// that is empty, led by `!`, of an unknown form, or dearer than a row may ask (1 GiB of memory
    /// or seconds of work); none of them matches.
    ///
    /// # Errors
    ///
    /// [`HashError::Overloaded`] if too many wait, [`HashError::Failed`] without memory.
    pub async fn verify(
        &self,
        password: &Password,
        stored: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        let engine = Arc::clone(&self.engine);
        let forms = password.forms();
        let stored = stored.cloned();
        self.pool
            .run(move |memory| engine.verify(forms, stored.as_ref(), memory))
            .await?
    }

    /// [`hash`](Self::hash) on the calling thread with memory of its own, for a command line.
    ///
    /// # Errors
    ///
    /// [`HashError::Failed`] without memory or randomness.
    pub fn hash_blocking(&self, password: &Password) -> Result<PasswordHash, HashError> {
        self.engine.hash(password.expose(), &mut Memory::new(0))
    }

    /// [`verify`](Self::verify) on the calling thread with memory of its own, for a command line.
    ///
    /// # Errors
    ///
    /// [`HashError::Failed`] without memory.
    pub fn verify_blocking(
        &self,
        password: &Password,
        stored: Option<&PasswordHash>,
    ) -> Result<Verdict, HashError> {
        self.engine
            .verify(password.forms(), stored, &mut Memory::new(0))
    }

    /// How many hashes were computed, pretended ones too: tests count instead of timing.
    #[cfg(any(test, feature = "testing"))]
    pub fn hashes_done(&self) -> u64 {
        self.engine.done.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::Secret;

    fn light() -> HashingSettings {
        HashingSettings {
            memory_kib: 8 * 1024,
            iterations: 1,
            threads: 1,
            ..HashingSettings::default()
        }
    }

    fn hasher(change: impl FnOnce(&mut HashingSettings)) -> Hasher {
        let mut settings = light();
        change(&mut settings);
        Hasher::new(&settings).unwrap()
    }

    fn password(raw: &str) -> Password {
        Password::parse(raw).unwrap()
    }

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    /// `None` for a mismatch, else the upgrade.
    async fn verify(
        hasher: &Hasher,
        raw: &str,
        stored: &PasswordHash,
    ) -> Option<Option<PasswordHash>> {
        match hasher.verify(&password(raw), Some(stored)).await.unwrap() {
            Verdict::Match { upgrade } => Some(upgrade),
            Verdict::Mismatch => None,
        }
    }

    #[rocket::async_test]
    async fn a_hash_is_argon2id_and_matches_its_password_only() {
        let hasher = hasher(|_| ());
        let stored = hasher.hash(&password("right password")).await.unwrap();
        let text = stored.as_stored();
        assert!(text.starts_with("$argon2id$v=19$m=8192,t=1,p=1$"));
        assert!(text.len() <= 255 && stored.is_supported());
        assert!(
            verify(&hasher, "right password", &stored)
                .await
                .unwrap()
                .is_none()
        );
        assert!(verify(&hasher, "wrong password", &stored).await.is_none());
        assert!(verify(&hasher, "Right password", &stored).await.is_none());
    }

    #[rocket::async_test]
    async fn composed_and_decomposed_are_the_same_password() {
        let hasher = hasher(|_| ());
        let stored = hasher.hash(&password("Gru\u{308}n")).await.unwrap();
        assert!(
            verify(&hasher, "Gr\u{fc}n", &stored)
                .await
                .unwrap()
                .is_none()
        );
        assert!(
            verify(&hasher, "Gru\u{308}n", &stored)
                .await
                .unwrap()
                .is_none()
        );
    }

    #[rocket::async_test]
    async fn long_passwords_count_to_their_last_character() {
        let hasher = hasher(|_| ());
        let long = "x".repeat(4095);
        let stored = hasher.hash(&password(&format!("{long}y"))).await.unwrap();
        assert!(
            verify(&hasher, &format!("{long}y"), &stored)
                .await
                .is_some()
        );
        assert!(
            verify(&hasher, &format!("{long}z"), &stored)
                .await
                .is_none()
        );
        assert!(verify(&hasher, &long[..72], &stored).await.is_none());
    }

    #[rocket::async_test]
    async fn without_a_usable_hash_there_is_as_much_work_and_no_match() {
        let hasher = hasher(|settings| settings.hmac_salts = vec![secret("salt")]);
        let real = hasher.hash(&password("p\u{fc}re")).await.unwrap();
        let cost = async |stored: Option<PasswordHash>| {
            let before = hasher.hashes_done();
            let verdict = hasher
                .verify(&password("wr\u{f6}ng"), stored.as_ref())
                .await;
            assert!(matches!(verdict, Ok(Verdict::Mismatch)));
            hasher.hashes_done() - before
        };
        let real = cost(Some(real)).await;
        assert_eq!(real, 4, "two forms, each bare and under the salt");
        assert_eq!(cost(None).await, real);
        for useless in [
            "",
            "!",
            "!$argon2id$v=19$m=8192,t=1,p=1$c2FsdHNhbHRzYWx0$AAAA",
            "wr\u{f6}ng",
            "$1$abc$def",
            "$argon2id$v=19$m=4294967295,t=2,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=1048576,t=64,p=1$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=8192,t=1,p=1,keyid=AAAAAAAAAAA$c2FsdHNhbHRzYWx0c2E$AAAAAAAAAAAAAAAAAAAAAA",
        ] {
            let stored = PasswordHash::from_stored(useless.to_owned());
            assert_eq!(cost(Some(stored)).await, real, "{useless}");
        }
    }

    #[rocket::async_test]
    async fn raised_parameters_renew_the_hash_of_a_right_password_only() {
        let old = hasher(|_| ());
        let stored = old.hash(&password("right password")).await.unwrap();
        let new = hasher(|settings| settings.iterations = 2);
        assert!(verify(&new, "wrong password", &stored).await.is_none());
        let renewed = verify(&new, "right password", &stored)
            .await
            .unwrap()
            .unwrap();
        assert!(renewed.as_stored().contains("t=2"));
        assert!(
            verify(&new, "right password", &renewed)
                .await
                .unwrap()
                .is_none()
        );
    }

    #[rocket::async_test]
    async fn hashes_with_more_memory_than_is_kept_verify_too() {
        let big = hasher(|settings| settings.memory_kib = 16 * 1024);
        let stored = big.hash(&password("right password")).await.unwrap();
        let small = hasher(|_| ());
        assert!(
            verify(&small, "right password", &stored)
                .await
                .unwrap()
                .is_some()
        );
    }

    #[rocket::async_test]
    async fn a_pepper_is_needed_named_and_rotated() {
        let one = secret("the first pepper, long");
        let two = secret("the second pepper, long");
        let bare = hasher(|_| ());
        let first = hasher(|settings| settings.peppers = vec![one.clone()]);
        let both = hasher(|settings| settings.peppers = vec![two.clone(), one.clone()]);
        let second = hasher(|settings| settings.peppers = vec![two.clone()]);

        let plain = bare.hash(&password("right password")).await.unwrap();
        let old = verify(&first, "right password", &plain)
            .await
            .unwrap()
            .unwrap();
        assert!(old.as_stored().contains(",keyid="));
        assert!(
            verify(&first, "right password", &old)
                .await
                .unwrap()
                .is_none()
        );
        assert!(verify(&bare, "right password", &old).await.is_none());
        assert!(verify(&second, "right password", &old).await.is_none());

        assert!(verify(&both, "wrong password", &old).await.is_none());
        let renewed = verify(&both, "right password", &old)
            .await
            .unwrap()
            .unwrap();
        assert!(
            verify(&second, "right password", &renewed)
                .await
                .unwrap()
                .is_none()
        );

        // Without its name the same hash is another: the pepper took part.
        let start = old.as_stored().find(",keyid=").unwrap();
        let end = start + old.as_stored()[start..].find('$').unwrap();
        let mut unnamed = old.as_stored().to_owned();
        unnamed.replace_range(start..end, "");
        let unnamed = PasswordHash::from_stored(unnamed);
        assert!(verify(&first, "right password", &unnamed).await.is_none());
    }

    #[rocket::async_test]
    async fn other_makes_of_argon2_are_verified_and_renewed() {
        let hasher =
            hasher(|settings| settings.hmac_salts = vec![secret("not-a-secret-salt-12345")]);
        for stored in [
            "$argon2i$v=19$m=512,t=2,p=2$GMMYA0CIkRLiPIdwLmUsJQ$0fZmAPoqBhRFSb5lvKFWdCu8GVsAwXNWQUS1m+YsMXA",
            "$argon2d$v=19$m=512,t=2,p=2$/N/7f0+JUar1HiPkPAeAcA$oyMIIsWZO4tX2LfFjjXXbRQzflTBVXJspYJHFuiH4H0",
            "$argon2id$v=19$m=65536,t=3,p=4$+P+fc6619j6HsBZiTElJKQ$TtLCfk2sEqGZDz97BuYy+6EZDQocMhBIaFCbfGCeWWo",
            "argon2$argon2id$v=19$m=1024,t=2,p=8$MzI1Vmg1V3Y5SmN2clJSSGNwMWRXWQ$QpAIjyfWjiOHuYYoA8gYmaiQ1A3w0MMNiBOD434zeAU",
            // Of the Base64 of an HMAC.
            "$argon2id$v=19$m=1024,t=2,p=1$Tek9BwAAIETofU/JeW/N2Q$qqbeLfJkYelbPI3iiHwU6mWhubLrTwohL/GvtFi9n4o",
        ] {
            let stored = PasswordHash::from_stored(stored.to_owned());
            assert!(stored.is_supported());
            let upgrade = verify(&hasher, "Gr\u{fc}\u{df}e, Hase 17", &stored)
                .await
                .unwrap();
            assert!(
                upgrade
                    .unwrap()
                    .as_stored()
                    .starts_with("$argon2id$v=19$m=8192,")
            );
            assert!(
                verify(&hasher, "Gr\u{fc}\u{df}e, Hase 18", &stored)
                    .await
                    .is_none()
            );
        }
    }

    #[test]
    fn the_blocking_twins_do_the_same() {
        let hasher = hasher(|_| ());
        let stored = hasher.hash_blocking(&password("right password")).unwrap();
        let verdict = hasher.verify_blocking(&password("right password"), Some(&stored));
        assert!(matches!(verdict, Ok(Verdict::Match { upgrade: None })));
    }
}
