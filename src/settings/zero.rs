//! Lengths of time and numbers that must not be 0.

use super::{ConfigError, Settings};

impl Settings {
    /// Refuses a 0 where it would turn off what keeps attackers out, or let nobody in.
    pub(super) fn check_nothing_is_zero(&self) -> Result<(), ConfigError> {
        let wrong = |text: String| Err(ConfigError(text));
        for (key, life) in [
            ("session.idle", self.session.idle),
            ("session.absolute", self.session.absolute),
            ("session.new_device_link", self.session.new_device_link),
            ("remember.life", self.remember.life),
            ("tokens.life", self.tokens.life),
            ("limits.window", self.limits.window),
            ("limits.lock", self.limits.lock),
            ("confirm.life", self.confirm.life),
            ("recover.life", self.recover.life),
            ("change_email.life", self.change_email.life),
            ("passwordless.life", self.passwordless.life),
            ("unlock.life", self.unlock.life),
            ("invite.life", self.invite.life),
            ("two_factor.pending", self.two_factor.pending),
            ("two_factor.mail_life", self.two_factor.mail_life),
            ("two_factor.trust", self.two_factor.trust),
            ("unified.mail_life", self.unified.mail_life),
            #[cfg(feature = "passkeys")]
            ("passkeys.challenge", self.passkeys.challenge),
            #[cfg(feature = "passkeys")]
            (
                "passkeys.register_challenge",
                self.passkeys.register_challenge,
            ),
            #[cfg(feature = "passkeys")]
            ("passkeys.sign_up_life", self.passkeys.sign_up_life),
            ("refresh_tokens.idle", self.refresh_tokens.idle),
            ("refresh_tokens.absolute", self.refresh_tokens.absolute),
            ("database.patience", self.database.patience),
        ] {
            if life.as_secs() == 0 {
                return wrong(format!(
                    "`security.{key}` is 0; write a length of time such as \"15 min\""
                ));
            }
        }
        for (key, number) in [
            ("limits.per_account", self.limits.per_account),
            ("limits.per_address", self.limits.per_address),
            ("limits.per_device", self.limits.per_device),
            ("limits.code_attempts", self.limits.code_attempts),
            ("limits.codes_per_day", self.limits.codes_per_day),
            ("limits.network_factor", self.limits.network_factor),
            ("limits.bytes_per_address", self.limits.bytes_per_address),
        ] {
            if number == 0 {
                return wrong(format!(
                    "`security.{key}` is 0, which would let nobody in; write 1 or more"
                ));
            }
        }
        Ok(())
    }
}
