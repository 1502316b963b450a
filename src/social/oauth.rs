//! OAuth 2.0 (RFC 6749) with PKCE (RFC 7636), as far as both kinds of providers need it: where a browser is led,
//! and the exchange of a code for tokens.

use data_encoding::BASE64;
use url::{Url, form_urlencoded};

use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};

use super::{
    SocialAnswer, SocialError, SocialRequest,
    http::{Blocking, request},
    lenient::{complaint, object, text},
    secret::ClientSecret,
};
use crate::{secrets::Secret, types::Timestamp};

/// Who we are to a provider.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) secret: ClientSecret,
}

/// How we say so at the token endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Authentication {
    Basic,
    Body,
}

/// What came back, for another thread.
pub(super) struct Answered {
    pub(super) code: String,
    pub(super) issuer: Option<String>,
    pub(super) redirect: Url,
    pub(super) nonce: String,
    pub(super) verifier: Secret<String>,
    pub(super) now: Timestamp,
}

impl From<&SocialAnswer<'_>> for Answered {
    fn from(answer: &SocialAnswer<'_>) -> Self {
        Self {
            code: answer.code.into(),
            issuer: answer.issuer.map(String::from),
            redirect: answer.redirect_uri.clone(),
            nonce: answer.nonce.into(),
            verifier: answer.code_verifier.clone(),
            now: answer.now,
        }
    }
}

/// What a code was exchanged for.
pub(super) struct Tokens {
    pub(super) access: Secret<String>,
    pub(super) id: Option<String>,
}

impl Client {
    /// Where a browser is led, with what every kind of provider is asked. `beside` does not replace any of it.
    pub(super) fn authorization_url(
        &self,
        endpoint: &Url,
        asked: &SocialRequest<'_>,
        scopes: &[String],
        beside: &[(&str, &str)],
    ) -> Url {
        let mut url = endpoint.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.id)
            .append_pair("redirect_uri", asked.redirect_uri.as_str())
            .append_pair("state", asked.state)
            .append_pair("code_challenge", asked.code_challenge)
            .append_pair("code_challenge_method", "S256");
        if !scopes.is_empty() {
            query.append_pair("scope", &scopes.join(" "));
        }
        query.extend_pairs(beside);
        drop(query);
        url
    }

    /// Exchanges a code.
    pub(super) fn exchange(
        &self,
        http: &Blocking,
        endpoint: &Url,
        how: Authentication,
        answer: &Answered,
    ) -> Result<Tokens, SocialError> {
        let secret = self.secret.at(answer.now)?;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", &answer.code)
            .append_pair("redirect_uri", answer.redirect.as_str())
            .append_pair("code_verifier", answer.verifier.expose());
        let mut authorization = None;
        match (&secret, how) {
            (Some(secret), Authentication::Basic) => {
                // Each encoded before they are put together (RFC 6749, section 2.3.1).
                let encoded = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let both = format!("{}:{}", encoded(&self.id), encoded(secret.expose()));
                authorization = Some(format!("Basic {}", BASE64.encode(both.as_bytes())));
            }
            (secret, _) => {
                form.append_pair("client_id", &self.id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret.expose());
                }
            }
        }
        let mut headers = vec![
            ("Accept", "application/json"),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        if let Some(authorization) = &authorization {
            headers.push(("Authorization", authorization));
        }
        let told = http.send(request(
            "POST",
            endpoint.as_str(),
            &headers,
            form.finish().into_bytes(),
        )?)?;
        let status = told.status().as_u16();
        let said = object(told.body(), "the answer of its token endpoint");
        // GitHub answers errors with the status of success.
        if status != 200 && status != 201
            || said.as_ref().is_ok_and(|said| said.contains_key("error"))
        {
            let why = said.map(|said| complaint(&said));
            let why = why.unwrap_or_else(|_| "without a reason".into());
            return Err(SocialError::Refused(format!(
                "it gave no token: {status} {why}"
            )));
        }
        let said = said?;
        let access = text(&said, "access_token")
            .ok_or_else(|| SocialError::Refused("it gave no access token".into()))?;
        Ok(Tokens {
            access: Secret::new(access.to_string()),
            id: text(&said, "id_token").map(String::from),
        })
    }
}

/// The S256 digest of a verifier.
pub(crate) fn challenge_of(verifier: &Secret<String>) -> String {
    BASE64URL_NOPAD.encode(&Sha256::digest(verifier.expose().as_bytes()))
}
