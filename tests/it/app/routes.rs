//! The routes of the application: one for every kind of guard.

use rocket::{get, http::Status, post, routes};
use rocket_security::{
    Any, Error, Method, Methods,
    guards::{Basic, Session, Token},
    prelude::*,
};
use serde::Serialize;
use serde_json::json;

policies! {
    pub Admin   = role("admin");
    pub Editor  = role("editor");
    pub Publish = permission("post:publish");
}

macro_rules! guarded {
    ($($path:literal $name:ident $guard:ty;)*) => {
        $(#[get($path)]
        fn $name(_who: $guard) -> &'static str { "in" })*
    };
}

guarded! {
    "/g/signed-in" signed_in SignedIn;
    "/g/admin" admin_only Require<Admin>;
    "/g/publish" publish Require<Publish>;
    "/g/admin-fresh" admin_fresh Require<(Admin, Fresh)>;
    "/g/fresh" fresh Require<Fresh>;
    "/g/fresh-600" fresh_600 Require<Fresh<600>>;
    "/g/any-role" any_role Require<Any<(Admin, Editor)>>;
    "/g/any-fresh" any_fresh Require<Any<(Admin, Fresh<600>)>>;
    "/g/token" token_only Require<Via<Token>>;
    "/g/basic" basic_only Require<Via<Basic>>;
    "/g/token-session" token_session Require<Via<(Token, Session)>>;
    "/g/mfa" mfa Require<Mfa>;
    "/g/anonymous" anonymous rocket_security::Anonymous;
}

#[get("/")]
fn home(_public: Public) -> &'static str {
    "home"
}

#[get("/g/maybe")]
fn maybe(who: Option<SignedIn>) -> String {
    who.map_or("nobody".into(), |who| who.email.clone())
}

#[get("/me")]
fn me(who: SignedIn) -> String {
    who.email.clone()
}

/// An event of which is waited for, since subscribers are told in order.
#[get("/marker/<_number>")]
fn marker(_number: u64, _who: SignedIn) {}

#[post("/p/bare")]
fn bare(_who: SignedIn) -> &'static str {
    "written"
}

#[post("/p/bare-basic")]
fn bare_basic(_who: Require<Via<Basic>>) -> &'static str {
    "written"
}

#[post("/p/input", data = "<_body>")]
fn input(_who: SignedIn, _body: Input<Empty>) -> &'static str {
    "written"
}

#[derive(serde::Deserialize, Serialize)]
struct Note {
    title: String,
    #[serde(default)]
    stars: Option<u8>,
}

#[post("/p/note", data = "<note>")]
fn note(_public: Public, note: Input<Note>) -> String {
    json!(note.into_inner()).to_string()
}

/// Signs in as anybody, by the application's own proof.
#[post("/as/<id>?<mfa>&<remember>", data = "<_body>")]
async fn sign_in_as(
    auth: Auth<'_>,
    id: rocket_security::UserId,
    mfa: bool,
    remember: bool,
    _body: Input<Empty>,
) -> Result<Status, Error> {
    let user = auth.store().find_user(&id).await?.ok_or(Error::NotFound)?;
    let mut methods = Methods::of(Method::Password);
    if mfa {
        methods = methods.and(Method::Authenticator);
    }
    auth.sign_in_by(&user, methods, remember).await?;
    Ok(Status::NoContent)
}

#[post("/everywhere", data = "<_body>")]
async fn everywhere(auth: Auth<'_>, who: SignedIn, _body: Input<Empty>) -> Result<Status, Error> {
    auth.sign_out_everywhere(&who.id).await?;
    Ok(Status::NoContent)
}

/// All of them.
pub fn all() -> Vec<rocket::Route> {
    routes![
        signed_in,
        admin_only,
        publish,
        admin_fresh,
        fresh,
        fresh_600,
        any_role,
        any_fresh,
        token_only,
        basic_only,
        token_session,
        mfa,
        anonymous,
        home,
        maybe,
        me,
        marker,
        bare,
        bare_basic,
        input,
        note,
        sign_in_as,
        everywhere
    ]
}
