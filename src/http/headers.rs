//! The security headers of our own answers. The application's answers are the application's.

use std::sync::atomic::Ordering;

use rocket::{Request, Response, http::Header};

use super::browser::Browser;
use crate::{http::context::HttpContext, settings::HeaderSettings};

/// Says that the answer to `request` is ours, so that [`finish`] gives it our headers.
pub(crate) fn mark(request: &Request<'_>) {
    Browser::unread(request)
        .marks
        .ours
        .store(true, Ordering::Relaxed);
}

/// Says that the address of the page holds a secret, which no other page may be told as the referrer.
pub(crate) fn hide_address(request: &Request<'_>) {
    Browser::unread(request)
        .marks
        .secret_address
        .store(true, Ordering::Relaxed);
}

/// Says that forms of this page lead to the providers of the site: browsers judge by `form-action` also
/// where a form is redirected to (CSP Level 3, section 6.4.1).
#[allow(
    dead_code,
    reason = "only sign-in with providers leads out, and may not be compiled in"
)]
pub(crate) fn let_forms_out(request: &Request<'_>) {
    Browser::unread(request)
        .marks
        .forms_lead_out
        .store(true, Ordering::Relaxed);
}

/// Gives an answer of ours its headers: in the fairing, after Rocket's own Shield, which would complain
/// of headers that are there before it.
pub(crate) fn finish<'r>(
    request: &Request<'_>,
    response: &mut Response<'r>,
    context: &'r HttpContext,
) {
    let marks = &Browser::unread(request).marks;
    if marks.ours.load(Ordering::Relaxed) {
        set(response, &context.settings.headers);
        let mut elsewhere = context.redirects.form_sources();
        if marks.forms_lead_out.load(Ordering::Relaxed) {
            elsewhere.extend((context.provider_origins)());
        }
        if !elsewhere.is_empty() {
            let policy = leading_out(&context.settings.headers, &elsewhere);
            response.set_header(Header::new("Content-Security-Policy", policy));
        }
    }
    if marks.secret_address.load(Ordering::Relaxed) {
        response.set_header(Header::new("Referrer-Policy", "no-referrer"));
    }
}

/// The policy with these sources behind `form-action`, if it has that directive.
fn leading_out(settings: &HeaderSettings, sources: &[String]) -> String {
    let policy = &settings.content_security_policy;
    let widened = policy
        .split(';')
        .map(|directive| match directive.split_whitespace().next() {
            Some(name) if name.eq_ignore_ascii_case("form-action") => {
                format!("{directive} {}", sources.join(" "))
            }
            _ => directive.to_string(),
        });
    widened.collect::<Vec<_>>().join(";")
}

fn set<'r>(response: &mut Response<'r>, settings: &'r HeaderSettings) {
    for (name, value) in [
        ("Cache-Control", "private, no-store"),
        (
            "Content-Security-Policy",
            settings.content_security_policy.as_str(),
        ),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Referrer-Policy", "same-origin"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        (
            "Permissions-Policy",
            "camera=(), geolocation=(), microphone=()",
        ),
    ] {
        response.set_header(Header::new(name, value));
    }
    response.adjoin_header(Header::new("Vary", "Cookie, Accept"));
}
