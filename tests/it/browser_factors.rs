//! A person with second factors, and one with many ways to sign in, at a browser.
//!
//! Every page that they come to is looked over: labels, headings, focus, and that it fits on a phone.
//! `SECURITY_TEST_PICTURES=<folder>` keeps a picture of each, as a phone and as a desk has it.

use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::Stdio,
    sync::Mutex,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use fantoccini::{Locator, key::Key};
use rocket::tokio;

use crate::{
    app::eventually,
    with_cli::browser::{ADA, PASSWORD, Person, wait},
    with_factors::factors::{Authenticator, six_digits},
};

const PHONE: &str = "+16502530000";
/// What a phone and a desk show at once.
const WIDTHS: [(&str, u32, u32); 2] = [("phone", 390, 844), ("desk", 1280, 860)];

/// What is wrong with a page for whoever cannot see it, has no mouse, or has a small screen.
const FAULTS: &str = r"
    const faults = [];
    const all = (what) => [...document.querySelectorAll(what)];
    const say = (what, at) => faults.push(what + ': ' + at.outerHTML.slice(0, 160));
    if (all('h1').length !== 1) faults.push(all('h1').length + ' h1');
    const levels = all('h1, h2, h3, h4').map((heading) => Number(heading.tagName[1]));
    levels.forEach((level, at) => {
        if (level > (levels[at - 1] ?? 0) + 1) faults.push('headings leave out a level: ' + levels);
    });
    if (!document.title.trim() || !document.documentElement.lang) faults.push('no title or language');
    for (const field of all('input:not([type=hidden]), select, textarea')) {
        if (![...field.labels].some((label) => label.innerText.trim())) say('no label', field);
        // Whether a phone number is needed depends on what is chosen.
        if (field.type !== 'tel' && field.required === field.closest('.sec-field').innerText.includes('(optional)')
            && field.type !== 'checkbox' && field.tagName !== 'SELECT') say('required or not', field);
    }
    for (const at of all('[aria-describedby]')) {
        for (const id of at.getAttribute('aria-describedby').split(' ')) {
            if (!document.getElementById(id)?.innerText.trim()) say('described by nothing', at);
        }
    }
    for (const at of all('button, a[href]')) if (!at.innerText.trim()) say('no name', at);
    for (const at of all('img')) if (!at.alt.trim() || !at.naturalWidth) say('no picture', at);
    const ids = all('[id]').map((at) => at.id);
    if (new Set(ids).size !== ids.length) faults.push('an id twice: ' + ids);
    const wrong = document.querySelector('[aria-invalid=true]');
    if (wrong && document.activeElement !== wrong) say('no focus', wrong);
    const alert = document.querySelector('form [role=alert]:not([hidden])');
    if (alert && !alert.closest('form').contains(document.activeElement)) say('no focus', alert);
    if (document.documentElement.scrollWidth > window.innerWidth) {
        faults.push(document.documentElement.scrollWidth + ' wide');
    }
    return faults;
";

/// An app on a phone, by the clock on the wall: its codes are good once, and one step either side of now.
struct App {
    shown: Authenticator,
    last: Mutex<u64>,
}

impl App {
    /// Types the key from the page into it.
    async fn with_key_of(person: &Person) -> Self {
        let key = person.browser.find(Locator::Css(".sec-key")).await.unwrap();
        let key = key.text().await.unwrap().replace(char::is_whitespace, "");
        Self {
            shown: Authenticator { key },
            last: Mutex::new(0),
        }
    }

    /// A code that is good for a few seconds more, and was not used yet.
    async fn code(&self) -> String {
        // The site is a process of its own, whose clock nobody moves.
        eventually("a code that was not used", async || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let (step, into) = (now.as_secs() / 30, now.as_secs() % 30);
            let mut last = self.last.lock().unwrap();
            let next = (*last + 1).max(step - 1);
            (next <= step + 1 && (next >= step || into < 22)).then(|| {
                *last = next;
                self.shown.shows(next * 30)
            })
        })
        .await
    }

    /// One of another year.
    fn wrong(&self) -> String {
        self.shown.shows(1_000_000_000)
    }
}

impl Person {
    pub(crate) async fn has_account(&self, arguments: &[&str]) {
        let mut child = self
            .command()
            .args(["users", "create", ADA, "--active", "--confirmed"])
            .arg("--password-stdin")
            .args(arguments)
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(format!("{PASSWORD}\n").as_bytes()).unwrap();
        drop(input);
        assert!(child.wait().unwrap().success());
    }

    /// Looks the page over on which somebody is now, which says `text`.
    pub(crate) async fn sees(&self, text: &str, name: &str) {
        self.reads(text).await;
        for (device, width, height) in WIDTHS.into_iter().rev() {
            let resized = self.browser.set_window_size(width, height).await;
            resized.unwrap();
            let found = async || {
                let faults = self.browser.execute(FAULTS, Vec::new()).await.unwrap();
                serde_json::from_value::<Vec<String>>(faults).unwrap()
            };
            // Focus is given a moment after the page is there.
            let began = Instant::now();
            let faults = eventually("a page that is there", async || {
                let faults = found().await;
                let is_last = faults.is_empty() || began.elapsed() > Duration::from_secs(2);
                is_last.then_some(faults)
            })
            .await;
            assert!(faults.is_empty(), "{name} ({device}): {faults:#?}");
            self.picture(name, device, width).await;
        }
    }

    async fn picture(&self, name: &str, device: &str, width: u32) {
        let Some(folder) = std::env::var_os("SECURITY_TEST_PICTURES").map(PathBuf::from) else {
            return;
        };
        let script = "return document.documentElement.scrollHeight + outerHeight - innerHeight";
        let height = self.browser.execute(script, Vec::new()).await.unwrap();
        let height = u32::try_from(height.as_u64().unwrap()).unwrap();
        self.browser.set_window_size(width, height).await.unwrap();
        let picture = self.browser.screenshot().await.unwrap();
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}-{device}.png")), picture).unwrap();
    }

    /// Fills in this form and presses its first button.
    pub(crate) async fn answers(&self, form: &str, fields: &[(&str, &str)]) {
        self.fill(form, fields).await;
        let button = format!("#{form} button[type=submit]");
        self.press(Locator::Css(&button)).await;
    }

    /// Chooses among the options of a field, by what is shown.
    async fn chooses(&self, field: &str, label: &str) {
        let there = async || self.browser.find(Locator::Id(field)).await.is_ok();
        wait(field, there).await;
        let field = self.browser.find(Locator::Id(field)).await.unwrap();
        field.select_by_label(label).await.unwrap();
    }

    pub(crate) async fn signs_in_with_password(&self) {
        self.open("/login").await;
        let fields = [("email", ADA), ("password", PASSWORD)];
        self.answers("login", &fields).await;
    }

    async fn follows(&self, link: &str) {
        self.press(Locator::LinkText(link)).await;
    }

    /// The number of the mail that comes next to the account.
    pub(crate) fn mails(&self) -> usize {
        self.mailbox.to(ADA).len()
    }

    /// The newest mail after the first `before`, whose subject begins like that.
    pub(crate) async fn mail_about(
        &self,
        before: usize,
        subject: &str,
    ) -> crate::smtp_server::Received {
        let new = || {
            let mails = self.mailbox.to(ADA).into_iter().skip(before);
            mails
                .into_iter()
                .find(|mail| mail.subject.starts_with(subject))
        };
        wait(subject, async || new().is_some()).await;
        new().unwrap()
    }

    /// The code in the only text message after the first `before`.
    async fn text_message(&self, number: usize) -> String {
        let all = || {
            let files = fs::read_dir(self.folder.path().join("messages"));
            let files = files.into_iter().flatten().flatten();
            let mut names: Vec<_> = files.map(|file| file.path()).collect();
            names.sort();
            names
        };
        wait("a text message", async || all().len() >= number).await;
        let text = fs::read_to_string(&all()[number - 1]).unwrap();
        let sms: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(sms["phone"], PHONE);
        six_digits(sms["message"].as_str().unwrap())
    }

    async fn types(&self, keys: &str) {
        let here = self.browser.active_element().await.unwrap();
        here.send_keys(keys).await.unwrap();
    }

    /// Goes on by the tabulator until the element is reached that `selector` names.
    pub(crate) async fn tabs_to(&self, selector: &str) {
        let script = "return document.activeElement.matches(arguments[0])";
        for _ in 0..40 {
            let there = self.browser.execute(script, vec![selector.into()]).await;
            if there.unwrap() == true {
                return;
            }
            self.types(&char::from(Key::Tab).to_string()).await;
        }
        panic!("no key leads to {selector}");
    }

    /// Waits for the page on which the keyboard begins at `selector`.
    pub(crate) async fn begins_at(&self, selector: &str) {
        let script = "return document.activeElement.matches(arguments[0])";
        let there = async || {
            let there = self.browser.execute(script, vec![selector.into()]).await;
            there.is_ok_and(|there| there == true)
        };
        wait(selector, there).await;
    }

    pub(crate) async fn presses_enter(&self) {
        self.types(&char::from(Key::Enter).to_string()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sets_factors_up_and_signs_in_by_each() {
    let Some(ada) = Person::arrive_at(&[]).await else {
        return;
    };
    ada.has_account(&[]).await;
    ada.signs_in_with_password().await;
    ada.is_at("/").await;

    // An app: its first code wrong, then right.
    ada.open("/tf-setup").await;
    ada.sees("You have no second factor yet", "tf-setup-empty")
        .await;
    let link = Locator::Css("a[href='/mf-recovery-codes']");
    assert!(ada.browser.find(link).await.is_err(), "for what?");
    ada.chooses("tf_setup-setup", "Authenticator app").await;
    ada.answers("tf_setup", &[("name", "Work phone")]).await;
    ada.sees("Scan the picture", "tf-confirm").await;
    let app = App::with_key_of(&ada).await;
    ada.answers("tf_confirm", &[("code", &app.wrong())]).await;
    ada.sees("The code is wrong or has expired", "tf-confirm-wrong")
        .await;
    ada.answers("tf_confirm", &[("code", &app.code().await)])
        .await;
    ada.sees("The second factor is set up", "tf-setup-one")
        .await;
    ada.reads("Work phone").await;
    ada.mail_about(0, "A sign-in method was added").await;

    ada.sign_out().await;
    ada.signs_in_with_password().await;
    ada.is_at("/tf-validate").await;
    ada.sees("that your authenticator app shows", "tf-validate-app")
        .await;
    ada.answers("tf_validate", &[("code", &app.wrong())]).await;
    ada.sees("The code is wrong or has expired", "tf-validate-wrong")
        .await;
    ada.answers("tf_validate", &[("code", &app.code().await)])
        .await;
    ada.is_at("/").await;

    // Mail beside it: one is chosen at sign-in.
    ada.open("/tf-setup").await;
    let before = ada.mails();
    ada.chooses("tf_setup-setup", "Email").await;
    ada.answers("tf_setup", &[]).await;
    ada.sees("We have sent a code to a***@example.com", "tf-confirm-mail")
        .await;
    let code = ada.mail_about(before, "Your code").await.code();
    ada.answers("tf_confirm", &[("code", &code)]).await;
    ada.sees("The second factor is set up", "tf-setup-two")
        .await;
    ada.sign_out().await;
    ada.signs_in_with_password().await;
    ada.is_at("/tf-select").await;
    ada.sees("You have several second factors", "tf-select")
        .await;
    let before = ada.mails();
    ada.chooses("tf_select-which", "Email").await;
    ada.answers("tf_select", &[]).await;
    ada.is_at("/tf-validate").await;
    ada.sees("that we sent to a***@example.com", "tf-validate-mail")
        .await;
    let code = ada.mail_about(before, "Your code").await.code();
    ada.answers("tf_validate", &[("code", &code)]).await;
    ada.is_at("/").await;

    // Recovery codes, shown once.
    ada.open("/tf-setup").await;
    ada.follows("Recovery codes, for when you do not have your second factor")
        .await;
    ada.sees("You have no recovery codes", "recovery-codes-none")
        .await;
    ada.answers("mf_recovery_codes", &[]).await;
    ada.sees("They are shown only now", "recovery-codes").await;
    let codes = ada.browser.find_all(Locator::Css(".sec-codes code")).await;
    let mut shown = Vec::new();
    for code in codes.unwrap() {
        shown.push(code.text().await.unwrap());
    }
    assert_eq!(shown.len(), 10);
    let file = ada.browser.find(Locator::Css("a[download]")).await.unwrap();
    let file = file.attr("href").await.unwrap().unwrap();
    let (_, file) = file.split_once(',').unwrap();
    assert_eq!(file, shown.join("%0A") + "%0A");
    ada.open("/mf-recovery-codes").await;
    ada.sees("You have 10 codes left", "recovery-codes-left")
        .await;
    let source = ada.browser.source().await.unwrap();
    assert!(shown.iter().all(|code| !source.contains(code)));

    ada.sign_out().await;
    ada.signs_in_with_password().await;
    ada.is_at("/tf-select").await;
    ada.follows("Having trouble?").await;
    ada.is_at("/tf-rescue").await;
    ada.sees("Choose what you can use instead", "tf-rescue")
        .await;
    ada.chooses("tf_rescue-help_setup", "I have a recovery code")
        .await;
    ada.answers("tf_rescue", &[]).await;
    ada.is_at("/mf-recovery").await;
    ada.sees("cross it out", "mf-recovery").await;
    ada.answers("mf_recovery", &[("code", "AAAA-BBBB-CCCC")])
        .await;
    ada.sees("The recovery code is not right", "mf-recovery-wrong")
        .await;
    ada.answers("mf_recovery", &[("code", &shown[3])]).await;
    ada.is_at("/").await;
    ada.open("/mf-recovery-codes").await;
    ada.reads("You have 9 codes left").await;

    // This browser is not asked again, until that is taken back.
    ada.sign_out().await;
    ada.signs_in_with_password().await;
    ada.chooses("tf_select-which", "Work phone").await;
    ada.answers("tf_select", &[]).await;
    ada.is_at("/tf-validate").await;
    let tick = Locator::Id("tf_validate-remember_device");
    ada.press(tick).await;
    ada.answers("tf_validate", &[("code", &app.code().await)])
        .await;
    ada.is_at("/").await;
    ada.sign_out().await;
    ada.signs_in_with_password().await;
    ada.is_at("/").await;
    // It spares signing in, not changing how one signs in.
    ada.open("/tf-setup").await;
    ada.is_at("/tf-select").await;
    ada.sees("You have several second factors", "tf-select-step-up")
        .await;
    let before = ada.mails();
    ada.chooses("tf_select-which", "Email").await;
    ada.answers("tf_select", &[]).await;
    ada.is_at("/tf-validate").await;
    let code = ada.mail_about(before, "Your code").await.code();
    ada.sees("that we sent to", "tf-validate-step-up").await;
    ada.answers("tf_validate", &[("code", &code)]).await;
    ada.is_at("/tf-setup").await;
    ada.follows("Devices that are not asked for it").await;
    ada.sees("This device", "tf-devices").await;
    ada.press(Locator::Css("main .sec-list button")).await;
    ada.sees("is asked for a second factor again", "tf-devices-none")
        .await;
    ada.sign_out().await;
    ada.signs_in_with_password().await;
    ada.is_at("/tf-select").await;

    // Without it again. Nobody here must have one.
    let before = ada.mails();
    ada.chooses("tf_select-which", "Email").await;
    ada.answers("tf_select", &[]).await;
    let code = ada.mail_about(before, "Your code").await.code();
    ada.answers("tf_validate", &[("code", &code)]).await;
    ada.is_at("/").await;
    ada.open("/tf-setup").await;
    let before = ada.mails();
    ada.answers("tf_disable", &[]).await;
    ada.sees("Two-step sign-in is off", "tf-setup-off").await;
    ada.mail_about(before, "Two-step sign-in").await;
    ada.sign_out().await;
    ada.signs_in_with_password().await;
    ada.is_at("/").await;
    ada.browser.clone().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_sets_one_up_to_come_in_and_needs_no_mouse() {
    let settings = [("TWO_FACTOR__REQUIRED_ROLES", "[\"admin\"]")];
    let Some(ada) = Person::arrive_at(&settings).await else {
        return;
    };
    let made = ada.command().args(["roles", "create", "admin"]).status();
    assert!(made.unwrap().success());
    ada.has_account(&["--role", "admin"]).await;
    ada.open("/admin").await;
    ada.is_at("/login").await;
    ada.begins_at("#login-email").await;
    ada.types(ADA).await;
    ada.tabs_to("#login-password").await;
    ada.types(PASSWORD).await;
    ada.presses_enter().await;

    ada.is_at("/tf-setup").await;
    ada.sees("You are signed in once yours is set up", "tf-setup-login")
        .await;
    ada.open("/admin").await;
    ada.is_at("/login").await;
    ada.open("/tf-setup").await;
    ada.tabs_to("#tf_setup-setup").await;
    ada.types("Auth").await;
    ada.tabs_to("#tf_setup-name").await;
    ada.types("My phone").await;
    ada.tabs_to("#tf_setup button").await;
    ada.presses_enter().await;
    ada.sees("Scan the picture", "tf-confirm-login").await;
    let app = App::with_key_of(&ada).await;
    ada.begins_at("#tf_confirm-code").await;
    ada.types(&app.wrong()).await;
    ada.presses_enter().await;
    ada.sees("The code is wrong or has expired", "tf-confirm-login-wrong")
        .await;
    ada.begins_at("#tf_confirm-code[aria-invalid=true]").await;
    ada.types(&app.code().await).await;
    ada.presses_enter().await;
    ada.is_at("/admin").await;
    ada.reads(ADA).await;

    // Nothing there turns it off, and the last one stays.
    ada.open("/tf-setup").await;
    ada.sees("A second factor is required here", "tf-setup-required")
        .await;
    assert!(ada.browser.find(Locator::Id("tf_disable")).await.is_err());
    ada.tabs_to("main .sec-list button").await;
    ada.presses_enter().await;
    ada.sees("set up another before you remove this one", "tf-setup-last")
        .await;
    ada.reads("My phone").await;
    ada.tabs_to("form[action='/logout'] button").await;
    ada.presses_enter().await;
    ada.reads("You are signed out").await;

    ada.open("/login").await;
    ada.begins_at("#login-email").await;
    ada.types(ADA).await;
    ada.tabs_to("#login-password").await;
    ada.types(PASSWORD).await;
    ada.presses_enter().await;
    ada.is_at("/tf-validate").await;
    ada.begins_at("#tf_validate-code").await;
    ada.types(&app.code().await).await;
    ada.presses_enter().await;
    ada.is_at("/").await;
    ada.browser.clone().close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_in_by_every_passcode() {
    let methods = "[\"password\", \"email\", \"authenticator\", \"sms\"]";
    let settings = [
        ("UNIFIED__ENABLED", "true"),
        ("UNIFIED__METHODS", methods),
        ("UNIFIED__REPLACES_LOGIN", "true"),
        ("SMS__TRANSPORT", "file"),
        ("MAIL__THROTTLE", "0"),
    ];
    let Some(ada) = Person::arrive_at(&settings).await else {
        return;
    };
    ada.has_account(&[]).await;
    ada.open("/profile").await;
    ada.is_at("/us-signin").await;
    ada.sees("Enter your password, or a code", "us-signin")
        .await;
    let wrong = [("identity", ADA), ("passcode", "not the password")];
    ada.answers("us_signin", &wrong).await;
    ada.sees(
        "The name, or the password or code, is not right",
        "us-signin-wrong",
    )
    .await;
    ada.fill("us_signin", &[("passcode", PASSWORD)]).await;
    ada.presses_enter().await;
    ada.is_at("/profile").await;

    // An app and a phone.
    ada.open("/us-setup").await;
    ada.sees("You have no other way to sign in yet", "us-setup-empty")
        .await;
    ada.chooses("us_setup-chosen_method", "Authenticator app")
        .await;
    ada.answers("us_setup", &[]).await;
    ada.sees("Scan the picture", "us-confirm").await;
    let app = App::with_key_of(&ada).await;
    ada.answers("us_confirm", &[("passcode", &app.wrong())])
        .await;
    ada.sees("The code is wrong or has expired", "us-confirm-wrong")
        .await;
    ada.answers("us_confirm", &[("passcode", &app.code().await)])
        .await;
    ada.reads("You can sign in with it from now on").await;
    ada.chooses("us_setup-chosen_method", "Text message").await;
    ada.answers("us_setup", &[("phone", "12")]).await;
    ada.sees("This is not a phone number", "us-setup-wrong")
        .await;
    let phone = ada.browser.find(Locator::Id("us_setup-phone")).await;
    phone.unwrap().clear().await.unwrap();
    ada.answers("us_setup", &[("phone", PHONE)]).await;
    ada.sees("We have sent a code to", "us-confirm-sms").await;
    let code = ada.text_message(1).await;
    ada.answers("us_confirm", &[("passcode", &code)]).await;
    ada.sees("You can sign in with it from now on", "us-setup")
        .await;

    // It is asked for again: by app, and by mail.
    ada.open("/us-verify?next=/profile").await;
    ada.sees("This part of your account is protected", "us-verify")
        .await;
    ada.answers("us_verify", &[("passcode", &app.wrong())])
        .await;
    ada.sees(
        "The name, or the password or code, is not right",
        "us-verify-wrong",
    )
    .await;
    let before = ada.mails();
    ada.chooses("us_verify-chosen_method", "Email").await;
    ada.press(Locator::Css("#us_verify button[formaction]"))
        .await;
    ada.sees("We have sent you a code by email", "us-verify-sent")
        .await;
    let code = ada.mail_about(before, "Your code").await.code();
    ada.answers("us_verify", &[("passcode", &code)]).await;
    ada.is_at("/profile").await;

    // By the app.
    ada.sign_out().await;
    ada.open("/us-signin").await;
    let fields = [("identity", ADA), ("passcode", &app.code().await)];
    ada.answers("us_signin", &fields).await;
    ada.is_at("/").await;

    // By mail: a code, and a link.
    for with_link in [false, true] {
        ada.sign_out().await;
        ada.open("/us-signin?next=/profile").await;
        let before = ada.mails();
        ada.fill("us_signin", &[("identity", ADA)]).await;
        ada.chooses("us_signin-chosen_method", "Email").await;
        ada.press(Locator::Css("#us_signin button[formaction]"))
            .await;
        ada.sees("we have sent a code by email", "us-signin-sent")
            .await;
        let mail = ada.mail_about(before, "Your code").await;
        match with_link {
            false => {
                ada.answers("us_signin", &[("passcode", &mail.code())])
                    .await
            }
            true => {
                ada.browser.goto(&mail.links()[0]).await.unwrap();
                ada.sees("Press the button to sign in", "us-link").await;
                ada.answers("us_link", &[]).await;
            }
        }
        ada.is_at("/profile").await;
    }

    // By a text message, and by the number that it went to.
    ada.sign_out().await;
    ada.open("/us-signin").await;
    ada.fill("us_signin", &[("identity", "(650) 253-0000")])
        .await;
    ada.chooses("us_signin-chosen_method", "Text message").await;
    ada.press(Locator::Css("#us_signin button[formaction]"))
        .await;
    ada.reads("we have sent a code by text message").await;
    let code = ada.text_message(2).await;
    ada.answers("us_signin", &[("passcode", &code)]).await;
    ada.is_at("/").await;
    ada.open("/profile").await;
    ada.reads(ADA).await;

    // A way that is removed is none.
    ada.open("/us-setup").await;
    ada.press(Locator::Css("main .sec-list button")).await;
    ada.sees("The sign-in method was removed", "us-setup-removed")
        .await;
    ada.browser.clone().close().await.unwrap();
}
