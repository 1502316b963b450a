//! What programs and readers of mails are told, as text: one JSON answer of each kind, and every mail. Who changes words
//! sees the change here. `UPDATE_EXPECT=1 cargo test --all-features --test it wording::` writes the texts anew.

use std::{collections::BTreeMap, time::Duration};

use expect_test::{Expect, expect};
use serde_json::{Value, json};

use crate::app::{Answer, App, PASSWORD, Plan, WRONG};

const ADA: &str = "ada@example.com";

/// The status and the JSON of an answer, without what differs each time.
fn shown(answer: &Answer) -> String {
    let mut json = answer.json();
    for secret in ["csrf_token", "authentication_token", "second_step_token"] {
        hide(&mut json, secret);
    }
    let json = serde_json::to_string_pretty(&json).unwrap();
    format!("{}\n{json}\n", answer.status)
}

fn hide(json: &mut Value, name: &str) {
    let Some(object) = json.as_object_mut() else {
        return;
    };
    for (key, value) in object {
        match key == name {
            true => *value = "..".into(),
            false => hide(value, name),
        }
    }
}

async fn with_ada() -> App {
    let app = Plan::new().start().await;
    app.user(ADA).await;
    app
}

fn credentials(password: &str) -> Value {
    json!({"email": ADA, "password": password})
}

#[rocket::async_test]
async fn a_success_carries_what_was_asked_for() {
    let app = with_ada().await;
    let signed_in = app
        .program()
        .post_json("/login?include_auth_token", credentials(PASSWORD))
        .await;
    expect![[r#"
        200
        {
          "meta": {
            "code": 200
          },
          "response": {
            "user": {
              "authentication_token": ".."
            },
            "tf_required": false,
            "csrf_token": ".."
          }
        }
    "#]]
    .assert_eq(&shown(&signed_in));
    let email = json!({"email": ADA});
    let sent = app.program().post_json("/reset", email).await;
    expect![[r#"
        200
        {
          "meta": {
            "code": 200
          },
          "response": {
            "csrf_token": ".."
          }
        }
    "#]]
    .assert_eq(&shown(&sent));
    let form = app.program().get("/reset").await;
    expect![[r#"
        200
        {
          "meta": {
            "code": 200
          },
          "response": {
            "csrf_token": ".."
          }
        }
    "#]]
    .assert_eq(&shown(&form));
}

#[rocket::async_test]
async fn an_error_of_a_field_stands_at_the_field() {
    let app = with_ada().await;
    let body = json!({"email": "nobody", "password": "short", "password_confirm": "other"});
    let refused = app.program().post_json("/register", body).await;
    expect![[r#"
        400
        {
          "meta": {
            "code": 400
          },
          "response": {
            "errors": [
              "This is not a valid email address.",
              "Use at least 8 characters.",
              "The two passwords are not the same."
            ],
            "field_errors": {
              "email": [
                "This is not a valid email address."
              ],
              "password": [
                "Use at least 8 characters."
              ],
              "password_confirm": [
                "The two passwords are not the same."
              ]
            },
            "error_codes": [
              "email.invalid",
              "password.too_short",
              "password.mismatch"
            ]
          }
        }
    "#]]
    .assert_eq(&shown(&refused));
    let unreadable = json!({"email": ["no text"], "password": 7});
    let refused = app.program().post_json("/register", unreadable).await;
    expect![[r#"
        400
        {
          "meta": {
            "code": 400
          },
          "response": {
            "errors": [
              "This is not of the kind that is expected here."
            ],
            "field_errors": {
              "email": [
                "This is not of the kind that is expected here."
              ]
            },
            "error_codes": [
              "input.wrong_type"
            ]
          }
        }
    "#]]
    .assert_eq(&shown(&refused));
}

#[rocket::async_test]
async fn an_error_of_the_whole_form_stands_at_no_field() {
    let app = with_ada().await;
    let refused = app.program().post_json("/login", credentials(WRONG)).await;
    expect![[r#"
        400
        {
          "meta": {
            "code": 400
          },
          "response": {
            "errors": [
              "The name or the password is not right, or the address is not confirmed yet."
            ],
            "field_errors": {
              "": [
                "The name or the password is not right, or the address is not confirmed yet."
              ]
            },
            "error_codes": [
              "login.wrong_or_unconfirmed"
            ]
          }
        }
    "#]]
    .assert_eq(&shown(&refused));
}

#[rocket::async_test]
async fn a_body_without_csrf_token_is_refused() {
    let app = with_ada().await;
    let browser = app.browser().in_json();
    browser.login(ADA, PASSWORD).await;
    let refused = browser
        .post_body("/logout", "application/json", b"{}")
        .await;
    expect![[r#"
        400
        {
          "meta": {
            "code": 400
          },
          "response": {
            "errors": [
              "The CSRF token is missing or has expired. Send one in the X-CSRFToken header."
            ],
            "error_codes": [
              "denied.csrf"
            ]
          }
        }
    "#]]
    .assert_eq(&shown(&refused));
}

#[rocket::async_test]
async fn a_guard_says_what_is_missing() {
    let app = with_ada().await;
    let browser = app.browser().in_json();
    expect![[r#"
        401
        {
          "meta": {
            "code": 401
          },
          "response": {
            "errors": [
              "Please sign in to go on."
            ],
            "error_codes": [
              "denied.unauthenticated"
            ]
          }
        }
    "#]]
    .assert_eq(&shown(&browser.get("/g/signed-in").await));
    browser.login(ADA, PASSWORD).await;
    expect![[r#"
        403
        {
          "meta": {
            "code": 403
          },
          "response": {
            "errors": [
              "Your account is not allowed to do this."
            ],
            "error_codes": [
              "denied.forbidden"
            ]
          }
        }
    "#]]
    .assert_eq(&shown(&browser.get("/g/admin").await));
    app.later(Duration::from_mins(11));
    expect![[r#"
        401
        {
          "meta": {
            "code": 401
          },
          "response": {
            "errors": [
              "Please confirm that it’s you to go on."
            ],
            "error_codes": [
              "denied.stale"
            ],
            "reauth_required": true,
            "unified_signin_enabled": false,
            "has_webauthn_verify_credential": false,
            "oauth_enabled": false,
            "oauth_providers": []
          }
        }
    "#]]
    .assert_eq(&shown(&browser.get("/g/fresh-600").await));
    expect![[r#"
        401
        {
          "meta": {
            "code": 401
          },
          "response": {
            "errors": [
              "Please confirm with a second factor to go on."
            ],
            "error_codes": [
              "denied.second_factor"
            ],
            "reauth_required": true,
            "unified_signin_enabled": false,
            "has_webauthn_verify_credential": false,
            "oauth_enabled": false,
            "oauth_providers": []
          }
        }
    "#]]
    .assert_eq(&shown(&browser.get("/g/mfa").await));
}

#[rocket::async_test]
async fn whoever_guesses_too_often_is_told_when_to_come_back() {
    let app = with_ada().await;
    for _ in 0..10 {
        app.program().post_json("/login", credentials(WRONG)).await;
    }
    let refused = app.program().post_json("/login", credentials(WRONG)).await;
    expect![[r#"
        429
        {
          "meta": {
            "code": 429
          },
          "response": {
            "errors": [
              "Too many attempts. Try again in about 15 minutes."
            ],
            "error_codes": [
              "denied.locked"
            ]
          }
        }
    "#]]
    .assert_eq(&shown(&refused));
}

#[rocket::async_test]
async fn a_second_factor_is_asked_for() {
    let app = with_ada().await;
    let email = rocket_security::EmailAddress::parse(ADA).unwrap();
    let ada = app.store().find_user_by_email(&email).await.unwrap();
    app.with_authenticator(&ada.unwrap()).await;
    let asked = app
        .program()
        .post_json("/login", credentials(PASSWORD))
        .await;
    expect![[r#"
        200
        {
          "meta": {
            "code": 200
          },
          "response": {
            "tf_required": true,
            "tf_state": "ready",
            "tf_method": "authenticator",
            "tf_primary_method": "authenticator",
            "second_step_token": "..",
            "csrf_token": ".."
          }
        }
    "#]]
    .assert_eq(&shown(&asked));
}

#[rocket::async_test]
async fn mails_and_text_messages_say() {
    let app = Plan::new()
        .set("passwordless.enabled", true)
        .set("unified.enabled", true)
        .set("refresh_tokens.enabled", true)
        .set("api_keys.enabled", true)
        .set("identities", ["email", "username"])
        .set("two_factor.rescue_email", true)
        .set("passkeys.sign_up", true)
        .start()
        .await;
    let mails = rocket_security::testing::sample_mails(app.client.rocket());
    let mails: BTreeMap<String, String> = mails.into_iter().collect();
    let expected: [(&str, Expect); 33] = [
        (
            "change_email/change_email",
            expect![[r#"
            Subject: Confirm your new address at Site

            Hello,

            Someone, perhaps you, wants to use this address for an account at Site. Confirm that it is yours:

            https://example.com/confirm/secret

            Or enter this code:

            123456

            Use either the link or the code, until tomorrow. It works once.

            Keep the link and the code to yourself. Nobody at Site will ask you for them.

            If it wasn’t you, do not confirm it: you can ignore this message, and nothing changes.

            -- 
            You receive this message because somebody entered your address at Site.
        "#]],
        ),
        (
            "change_email/changed",
            expect![[r#"
            Subject: Your email address at Site was changed

            Hello,

            The email address of your account at Site was changed: from now on, we write to the new one.

            If you did this, all is well, and you can delete this message.

            If you did not, take your account back. This restores your address, signs everybody out and removes the password, so that you choose a new one:

            https://example.com/confirm/secret

            The link works once, until tomorrow.

            About the change:
            New address: a***@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address was used for an account at Site.
        "#]],
        ),
        (
            "change_email/taken",
            expect![[r#"
            Subject: Someone asked for your address at Site

            Hello,

            Someone, perhaps you, tried to give this address to another account at Site. It belongs to yours, so nothing was changed. Sign in here:

            https://example.com/login

            Forgot your password? Choose a new one here:

            https://example.com/reset

            If it wasn’t you, there is nothing to do: nobody was given access.

            About the attempt:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "confirm/confirm",
            expect![[r#"
            Subject: Confirm your address at Site

            Hello,

            Welcome to Site. Confirm that this address is yours:

            https://example.com/confirm/secret

            Or enter this code:

            123456

            Use either the link or the code, until tomorrow. It works once.

            If you did not create this account, do not confirm it: you can ignore this message.

            Account: ada@example.com
            When: now

            -- 
            You receive this message because somebody entered your address at Site.
        "#]],
        ),
        (
            "invite/invite",
            expect![[r#"
            Subject: You are invited to Site

            Hello,

            You are invited to Site. Choose a password, and your account is ready:

            https://example.com/confirm/secret

            The link works once, until tomorrow.

            If you did not expect this, you can ignore this message.

            Account: ada@example.com
            Invited by: Grace
            When: now

            -- 
            You receive this message because somebody entered your address at Site.
        "#]],
        ),
        (
            "notices/api_key_created",
            expect![[r#"
            Subject: An API key was created at Site

            Hello,

            An API key was created for your account at Site. It lets a program act for you.

            Name of the key: Phone
            Permissions: post:publish

            If you created it, you can delete this message.

            If you did not, choose a new password right away, which revokes all keys:

            https://example.com/reset

            The request that created it:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/api_key_revoked",
            expect![[r#"
            Subject: An API key was revoked at Site

            Hello,

            An API key of your account at Site was revoked. Programs can no longer use it.

            Name of the key: Phone

            If you revoked it, you can delete this message.

            If you did not, choose a new password right away:

            https://example.com/reset

            The request that revoked it:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/device_trusted",
            expect![[r#"
            Subject: A trusted device was added at Site

            Hello,

            Signing in to your account at Site does not ask for your second factor on one more device.

            If you did this, all is well, and you can delete this message.

            If you did not, choose a new password right away, then remove that device:

            https://example.com/reset

            About the device:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/factor_added",
            expect![[r#"
            Subject: A sign-in method was added at Site

            Hello,

            A sign-in method or second factor was added to your account at Site.

            If you did this, all is well, and you can delete this message.

            If you did not, choose a new password right away, then remove what is not yours:

            https://example.com/reset

            About the change:
            Account: ada@example.com
            Kind: Authenticator app
            Name: Phone
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/factor_removed",
            expect![[r#"
            Subject: A sign-in method was removed at Site

            Hello,

            A sign-in method or second factor was removed from your account at Site.

            If you did this, all is well, and you can delete this message.

            If you did not, choose a new password right away, then set it up again:

            https://example.com/reset

            About the change:
            Account: ada@example.com
            Kind: Authenticator app
            Name: Phone
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/new_device",
            expect![[r#"
            Subject: New sign-in to your account at Site

            Hello,

            Your account at Site was signed in to from a browser or app that we do not know.

            If it was you, there is nothing to do.

            If it was not you, sign out every browser and app. You do not need to sign in for this:

            https://example.com/confirm/secret

            The link works once, until tomorrow.

            Then choose a new password:

            https://example.com/reset

            The sign-in:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/passkey_suspect",
            expect![[r#"
            Subject: A passkey of your account at Site was blocked

            Hello,

            A passkey of your account at Site was used, and its counter shows that there may be a copy of it. It is not accepted any more.

            Sign in another way, remove this passkey, and add a new one. If you do not know what this is about, contact us.

            https://example.com/login

            About the attempt:
            Account: ada@example.com
            Kind: Authenticator app
            Name: Phone
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/password_changed",
            expect![[r#"
            Subject: Your password at Site was changed

            Hello,

            The password of your account at Site was changed.

            If you did this, all is well, and you can delete this message.

            If you did not, choose a new password right away:

            https://example.com/reset

            About the change:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/password_removed",
            expect![[r#"
            Subject: Your password at Site was removed

            Hello,

            You have shown that this address is yours, but the password of your account at Site was set before that, perhaps by somebody else. To be safe, it was removed.

            Choose a new password here:

            https://example.com/reset

            About the change:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/recovery_code_used",
            expect![[r#"
            Subject: A recovery code was used at Site

            Hello,

            A recovery code was used to sign in to your account at Site. That code no longer works; when few are left, make new ones.

            If you did this, all is well, and you can delete this message.

            If you did not, choose a new password right away, then make new codes:

            https://example.com/reset

            About the sign-in:
            Account: ada@example.com
            Codes left: 3
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/recovery_codes_new",
            expect![[r#"
            Subject: New recovery codes for Site

            Hello,

            New recovery codes were made for your account at Site. Earlier ones no longer work.

            If you did this, all is well, and you can delete this message.

            If you did not, choose a new password right away, then make new codes:

            https://example.com/reset

            About the change:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/refresh_reuse",
            expect![[r#"
            Subject: A sign-in was ended at Site

            Hello,

            Somebody used an old refresh token of your account at Site. It may have been copied, so that sign-in has ended, for whoever had it.

            An app of yours that was set back, or copied to another device, can do this too. Sign in to it again.

            If you cannot explain it, choose a new password, which ends everything that is open:

            https://example.com/reset

            About the one who used it:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/remember_copied",
            expect![[r#"
            Subject: A remembered browser was signed out at Site

            Hello,

            A browser that stays signed in to your account at Site was signed out, because an old copy of its cookie was used. Somebody may have copied it.

            Restoring a browser from a backup can cause this too. Sign in there again.

            If you cannot explain it, choose a new password. That ends every session:

            https://example.com/reset

            The request with the old copy:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/two_factor_off",
            expect![[r#"
            Subject: Two-step sign-in at Site was turned off

            Hello,

            Signing in to your account at Site takes no second factor any more.

            If you did this, all is well, and you can delete this message.

            If you did not, choose a new password right away, then turn it on again:

            https://example.com/reset

            About the change:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "notices/username_changed",
            expect![[r#"
            Subject: Your username at Site was changed

            Hello,

            The username of your account at Site was changed.

            If you did this, all is well, and you can delete this message.

            If you did not, choose a new password right away:

            https://example.com/reset

            About the change:
            Account: ada@example.com
            Username: ada
            Username before: lovelace
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "passkeys/existing",
            expect![[r#"
            Subject: You already have an account at Site

            Hello,

            Someone, perhaps you, tried to create an account at Site with this address. You already have one. Nothing was changed. Sign in here:

            https://example.com/login

            Forgot your password? Choose a new one here:

            https://example.com/reset

            If it wasn’t you, there is nothing to do: nobody was given access.

            About the attempt:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "passkeys/signup",
            expect![[r#"
            Subject: Create your account at Site

            Hello,

            Someone, perhaps you, wants to create an account at Site with this address. Open this link on the device on which you want to sign in, and create a passkey:

            https://example.com/confirm/secret

            Or enter this code:

            123456

            Use either the link or the code, until tomorrow. It works once.

            If it wasn’t you, you can ignore this message: there is no account.

            Account: ada@example.com
            When: now

            -- 
            You receive this message because somebody entered your address at Site.
        "#]],
        ),
        (
            "passwordless/passwordless",
            expect![[r#"
            Subject: Sign in to Site

            Hello,

            Here is your link to sign in to Site. Only open it if you asked for it:

            https://example.com/confirm/secret

            Or enter this code:

            123456

            Use either the link or the code, until tomorrow. It works once.

            Keep the link and the code to yourself. Nobody at Site will ask you for them.

            If it wasn’t you, you can ignore this message: nobody is signed in.

            About the request:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "recover/recover",
            expect![[r#"
            Subject: Choose a new password at Site

            Hello,

            Someone, perhaps you, asked for a new password for your account at Site. Choose it here:

            https://example.com/confirm/secret

            Or enter this code:

            123456

            Use either the link or the code, until tomorrow. It works once.

            Keep the link and the code to yourself. Nobody at Site will ask you for them.

            If it wasn’t you, you can ignore this message: nothing changes.

            About the request:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "recover_username/recover_username",
            expect![[r#"
            Subject: Your username at Site

            Hello,

            Someone, perhaps you, asked for the username of your account at Site. You find it below. Sign in here:

            https://example.com/login

            Username: ada

            If it wasn’t you, there is nothing to do: only you receive this message.

            About the request:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "register/existing",
            expect![[r#"
            Subject: You already have an account at Site

            Hello,

            Someone, perhaps you, tried to create an account at Site with this address. You already have one. Nothing was changed. Sign in here:

            https://example.com/login

            Forgot your password? Choose a new one here:

            https://example.com/reset

            If it wasn’t you, there is nothing to do: nobody was given access.

            About the attempt:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "register/username_taken",
            expect![[r#"
            Subject: Choose another username at Site

            Hello,

            You asked for an account at Site, but the username you chose belongs to somebody else. No account was made. Choose another username here:

            https://example.com/register

            If it wasn’t you, there is nothing to do.
        "#]],
        ),
        (
            "register/welcome",
            expect![[r#"
            Subject: Welcome to Site

            Hello,

            Your account at Site is ready. Sign in any time:

            https://example.com/login

            Account: ada@example.com

            If you did not create this account, you can ignore this message.

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "two_factor/help",
            expect![[r#"
            Subject: Somebody needs help to sign in to Site

            Hello,

            Somebody cannot use the second factor of an account at Site, and asks for help. You find the account below.

            Make sure that it is really its owner before you change anything: somebody who stole the password would ask the same.

            About the request:
            Account: grace@example.com
            Name: Grace
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because this address takes requests for help at Site.
        "#]],
        ),
        (
            "two_factor/rescue",
            expect![[r#"
            Subject: Your code for Site

            Hello,

            Someone, perhaps you, cannot use the second factor of your account at Site. Enter this code in its place:

            123456

            The code works once, until tomorrow.

            Keep the code to yourself. Nobody at Site will ask you for it.

            If it wasn’t you, somebody may know your password. Without the code they get no further.

            Choose a new password here:

            https://example.com/reset

            About the request:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "two_factor/two_factor",
            expect![[r#"
            Subject: Your code for Site

            Hello,

            Someone, perhaps you, asked for this code at Site. Enter it on the page that asks for it:

            123456

            The code works once, until tomorrow.

            Keep the code to yourself. Nobody at Site will ask you for it.

            If it wasn’t you, somebody may know your password. Without the code they get no further.

            Choose a new password here:

            https://example.com/reset

            About the request:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "unified/unified",
            expect![[r#"
            Subject: Your code for Site

            Hello,

            Here is your link to sign in to Site. Only open it if you asked for it:

            https://example.com/confirm/secret

            Or enter this code:

            123456

            Use either the link or the code, until tomorrow. It works once.

            Keep the link and the code to yourself. Nobody at Site will ask you for them.

            If it wasn’t you, you can ignore this message: nobody is signed in.

            About the request:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
        (
            "unlock/unlock",
            expect![[r#"
            Subject: Sign-in to your account at Site is paused

            Hello,

            There were too many wrong attempts to sign in to your account at Site. To protect it, sign-in is paused until soon. If it was you, unlock it now:

            https://example.com/confirm/secret

            The link works once, until tomorrow.

            If it wasn’t you: none of these attempts got in.

            If your password is short, or used elsewhere, choose another one here:

            https://example.com/reset

            About the last attempt:
            Account: ada@example.com
            When: now
            Address: ::1
            Browser: Unknown browser or app

            -- 
            You receive this message because your address is used for an account at Site.
        "#]],
        ),
    ];
    let names: Vec<&str> = expected.iter().map(|(name, _)| *name).collect();
    assert_eq!(mails.keys().collect::<Vec<_>>(), names);
    for (name, expected) in expected {
        expected.assert_eq(&mails[name]);
    }
}
