//! Argon2 (RFC 9106): hashes as we make them, and those of others.

use argon2::{
    Algorithm, Argon2, KeyId, Params, ParamsBuilder, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash as Phc, Salt},
};
use subtle::ConstantTimeEq;

use super::{error::HashError, pool::Memory, settings::HashingSettings};
use crate::secrets::Secret;

/// Most memory that a stored hash may ask for: 1 GiB.
pub(super) const MAX_MEMORY_KIB: u32 = 1 << 20;
/// Most passes that a stored hash may ask for.
pub(super) const MAX_ITERATIONS: u32 = 64;
/// Most memory times passes, in KiB: a few seconds.
pub(super) const MAX_WORK_KIB: u64 = 4 << 20;

const SALT_LENGTH: usize = 16;
const OUTPUT_LENGTH: usize = 32;

/// A stored Argon2 hash, taken apart and found to be affordable.
pub(super) struct StoredArgon2 {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Salt,
    output: Output,
    /// Written in a form that is not ours.
    foreign: bool,
}

impl StoredArgon2 {
    /// `None` if it is no Argon2 hash or would cost too much.
    pub(super) fn parse(text: &str) -> Option<Self> {
        // Django puts its own name for the algorithm in front: `argon2$argon2id$v=19$..`.
        let (text, foreign) = match text.strip_prefix("argon2$") {
            Some(rest) => (format!("${rest}"), true),
            None => (text.to_owned(), false),
        };
        let phc = Phc::new(&text).ok()?;
        let algorithm = Algorithm::new(phc.algorithm.as_str()).ok()?;
        let version = match phc.version {
            // Version 1.0 wrote none.
            None => Version::V0x10,
            Some(number) => Version::try_from(number).ok()?,
        };
        let params = Params::try_from(&phc).ok()?;
        let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
        let affordable = params.m_cost() <= MAX_MEMORY_KIB
            && params.t_cost() <= MAX_ITERATIONS
            && work <= MAX_WORK_KIB
            && params.p_cost() <= 64;
        let (salt, output) = (phc.salt?, phc.hash?);
        affordable.then_some(Self {
            algorithm,
            version,
            params,
            salt,
            output,
            foreign,
        })
    }
}

struct Pepper {
    id: KeyId,
    secret: Secret<String>,
}

/// The current parameters and all peppers.
pub(super) struct Recipe {
    params: Params,
    peppers: Vec<Pepper>,
}

impl Recipe {
    pub(super) fn new(settings: &HashingSettings) -> Result<Self, argon2::Error> {
        let peppers = settings
            .peppers
            .iter()
            .map(|secret| {
                Ok(Pepper {
                    id: name_of(secret.expose())?,
                    secret: secret.clone(),
                })
            })
            .collect::<Result<Vec<_>, argon2::Error>>()?;
        let mut params = ParamsBuilder::new();
        params
            .m_cost(settings.memory_kib)
            .t_cost(settings.iterations)
            .p_cost(settings.parallelism)
            .output_len(OUTPUT_LENGTH);
        if let Some(current) = peppers.first() {
            params.keyid(current.id);
        }
        Ok(Self {
            params: params.build()?,
            peppers,
        })
    }

    /// How many blocks a thread needs for a hash with the current parameters.
    pub(super) fn blocks(&self) -> usize {
        self.params.block_count()
    }

    /// A new hash, as a PHC string.
    pub(super) fn hash(&self, text: &[u8], memory: &mut Memory) -> Result<String, HashError> {
        let mut salt = [0u8; SALT_LENGTH];
        getrandom::fill(&mut salt).map_err(|error| {
            log::error!("no randomness for a salt: {error}");
            HashError::Failed
        })?;
        let output = self.output(text, &salt, memory)?;
        let written = || {
            Some(
                Phc {
                    algorithm: Algorithm::Argon2id.ident(),
                    version: Some(Version::V0x13.into()),
                    params: ParamsString::try_from(&self.params).ok()?,
                    salt: Some(Salt::new(&salt).ok()?),
                    hash: Some(Output::new(&output).ok()?),
                }
                .to_string(),
            )
        };
        written().ok_or(HashError::Failed)
    }

    /// As much work as a verification, for accounts that do not exist.
    pub(super) fn pretend(&self, text: &[u8], memory: &mut Memory) -> Result<(), HashError> {
        std::hint::black_box(self.output(text, &[0; SALT_LENGTH], memory)?);
        Ok(())
    }

    /// `None` if the pepper of the hash is not among ours.
    pub(super) fn verify(
        &self,
        stored: &StoredArgon2,
        text: &[u8],
        memory: &mut Memory,
    ) -> Result<Option<bool>, HashError> {
        let id = stored.params.keyid();
        let secret = match self.peppers.iter().find(|one| one.id.as_bytes() == id) {
            _ if id.is_empty() => None,
            Some(pepper) => Some(pepper.secret.expose().as_bytes()),
            None => return Ok(None),
        };
        let argon2 = context(
            secret,
            stored.algorithm,
            stored.version,
            stored.params.clone(),
        )?;
        let mut buffer = [0u8; Output::MAX_LENGTH];
        let output = &mut buffer[..stored.output.len()];
        run(&argon2, text, &stored.salt, output, memory)?;
        Ok(Some((*output).ct_eq(stored.output.as_bytes()).into()))
    }

    /// Whether a hash is as we would make it now.
    pub(super) fn is_current(&self, stored: &StoredArgon2) -> bool {
        // `Params` compares costs, key and length of output.
        !stored.foreign
            && stored.algorithm == Algorithm::Argon2id
            && stored.version == Version::V0x13
            && stored.params == self.params
            && stored.salt.len() >= SALT_LENGTH
    }

    fn output(
        &self,
        text: &[u8],
        salt: &[u8],
        memory: &mut Memory,
    ) -> Result<[u8; OUTPUT_LENGTH], HashError> {
        let pepper = self.peppers.first();
        let argon2 = context(
            pepper.map(|pepper| pepper.secret.expose().as_bytes()),
            Algorithm::Argon2id,
            Version::V0x13,
            self.params.clone(),
        )?;
        let mut output = [0u8; OUTPUT_LENGTH];
        run(&argon2, text, salt, &mut output, memory)?;
        Ok(output)
    }
}

fn context(
    secret: Option<&[u8]>,
    algorithm: Algorithm,
    version: Version,
    params: Params,
) -> Result<Argon2<'_>, HashError> {
    match secret {
        None => Ok(Argon2::new(algorithm, version, params)),
        Some(secret) => Argon2::new_with_secret(secret, algorithm, version, params).map_err(failed),
    }
}

fn run(
    argon2: &Argon2<'_>,
    text: &[u8],
    salt: &[u8],
    output: &mut [u8],
    memory: &mut Memory,
) -> Result<(), HashError> {
    memory
        .lend(argon2.params().block_count(), |blocks| {
            argon2.hash_password_into_with_memory(text, salt, output, blocks)
        })?
        .map_err(failed)
}

fn failed(error: argon2::Error) -> HashError {
    log::error!("Argon2 failed: {error}");
    HashError::Failed
}

/// The name under which hashes refer to a pepper. It rests in the database beside them, so it costs
/// as much to guess a pepper from it as from a hash.
fn name_of(pepper: &str) -> Result<KeyId, argon2::Error> {
    let mut name = [0u8; 8];
    let params = ParamsBuilder::new().output_len(name.len()).build()?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        pepper.as_bytes(),
        b"rocket_security pepper",
        &mut name,
    )?;
    KeyId::new(&name)
}
