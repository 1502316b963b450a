//! Who keeps a passkey, by the model that its authenticator names: a label for its owner, no proof.

use data_encoding::HEXLOWER;

/// The models that most people have, from the list that providers keep together
/// (<https://github.com/passkeydeveloper/passkey-authenticator-aaguids>) and from makers of keys.
const PROVIDERS: &[(&str, &str)] = &[
    ("fbfc3007154e4ecc8c0b6e020557d7bd", "Apple Passwords"),
    (
        "dd4ec289e01d41c9bb8970fa845d4bf2",
        "iCloud Keychain (managed)",
    ),
    (
        "ea9b8d664d011d213ce4b6b48cb575d4",
        "Google Password Manager",
    ),
    ("adce000235bcc60a648b0b25f1f05503", "Chrome on Mac"),
    ("b53976664885aa6bcebfe52262a439a2", "Chromium"),
    ("771b48fdd3d44f749232fc157ab0507a", "Edge on Mac"),
    ("08987058cadc4b81b6e130de50dcbe96", "Windows Hello"),
    ("9ddd1817af5a4672a2b93e3dd95000a9", "Windows Hello"),
    ("6028b017b1d44c02b4b3afcdafc96bb2", "Windows Hello"),
    ("53414d53554e47000000000000000000", "Samsung Pass"),
    ("bada5566a7aa401fbd9645619a55120d", "1Password"),
    ("d548826e79b4db40a3d811116f7e8349", "Bitwarden"),
    ("531126d6e717415c93203d9aa6981239", "Dashlane"),
    ("0ea242b443c44a1b8b17dd6d0b6baec6", "Keeper"),
    ("b84e404815dc4dd08640f4f60813c8af", "NordPass"),
    ("50726f746f6e5061737350726f746f6e", "Proton Pass"),
    ("b78a0a556ef8d246a042ba0f6d55050c", "LastPass"),
    ("f38095407f1449c1a8b38f813b225541", "Enpass"),
    ("fdb141b25d84443e8a354698c205a502", "KeePassXC"),
    ("2fc0579f811347eab116bb5a8db9202a", "YubiKey 5 NFC"),
    ("ee882879721c491397753dfcce97072a", "YubiKey 5"),
    ("cb69481e8ff7403993ec0a2729a154a8", "YubiKey 5"),
    ("fa2b99dc9e3942578f924a30d23c4118", "YubiKey 5 NFC"),
    ("f8a011f38c0a4d15800617111f9edc7d", "Security Key by Yubico"),
];

/// Who keeps it, if the model is known.
pub(crate) fn provider(aaguid: &str) -> Option<&'static str> {
    let model = uuid::Uuid::parse_str(aaguid).ok()?;
    let model = HEXLOWER.encode(model.as_bytes());
    PROVIDERS
        .iter()
        .find(|(known, _)| *known == model)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_is_a_uuid_and_stands_once() {
        for (n, (model, name)) in PROVIDERS.iter().enumerate() {
            assert!(
                model.len() == 32 && HEXLOWER.decode(model.as_bytes()).is_ok(),
                "{name}"
            );
            assert!(!PROVIDERS[..n].iter().any(|(known, _)| known == model));
        }
        let apple = "fbfc3007-154e-4ecc-8c0b-6e020557d7bd";
        assert_eq!(provider(apple), Some("Apple Passwords"));
        assert_eq!(provider("00000000-0000-0000-0000-000000000000"), None);
        assert_eq!(provider("nonsense"), None);
    }
}
