// Passkeys in the library's pages: asks the site for options, the browser for a passkey, and sends the form.
//
// A form says in its attributes what it wants:
//   data-passkey      register or signup (make a passkey), signin or verify (show one)
//   data-options-url  where options are asked for; the answer has `wan_state` and `credential_options`
//   data-finish-url   where the form goes in the end, with "/<wan_state>" after it
//   data-fields-of    the id of another form, of which the identity and some choices go along
//   data-autofill     also offers passkeys where the browser fills fields in
//   data-msg-*        what people are told
//
// It keeps nothing and talks to these two addresses alone. Without it the buttons stay hidden.

const MAKES = ["register", "signup"];
const OWN_FIELDS = ["csrf_token", "credential"];
const FIELDS_ALONG = ["remember", "remember_device", "next"];
// Autofill may wait all day, and a challenge does not: another is asked for before it runs out.
const OFFER_LASTS = 0.8;
const USUAL_TIMEOUT = 5 * 60 * 1000;

// What people are told where a form does not say it.
const WORDS = {
  msgWorking: "Waiting for your passkey…",
  msgCancelled: "That was cancelled, or took too long.",
  msgExists: "There is a passkey for this account already.",
  msgUnable: "This device cannot do that.",
  msgUnsupported: "This browser cannot use passkeys.",
  msgInsecure: "Passkeys do not work at this address.",
  msgNetwork: "The site was not reached. Try again.",
  msgFailed: "That did not work. Try again.",
};

// What went wrong, by the names that browsers give it, and the message that says so.
const REASONS = {
  NotAllowedError: "msgCancelled",
  InvalidStateError: "msgExists",
  NotSupportedError: "msgUnable",
  ConstraintError: "msgUnable",
  SecurityError: "msgInsecure",
};

const word = (form, name) => form.dataset[name] ?? WORDS[name];

const forms = [...document.querySelectorAll("form[data-passkey]")];
// The form whose passkeys are offered by autofill, once the browser says that it can.
let autofilled = null;

// The form whose ceremony is under way: there is one at a time, on the whole page.
let busy = null;
// The passkeys that autofill offers now: how to take them back, and when that has happened.
let offered = null;

/** What the site answered in place of options. */
class Refused extends Error {
  constructor(messages, fields = {}) {
    super("refused");
    this.messages = messages;
    this.fields = fields;
  }
}

// Bytes travel as text in base64url.

function toBytes(text) {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
}

function toText(bytes) {
  const plain = Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join("");
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

const known = (list = []) => list.map((one) => ({ ...one, id: toBytes(one.id) }));

function optionsToMake(options) {
  if (PublicKeyCredential.parseCreationOptionsFromJSON) {
    return PublicKeyCredential.parseCreationOptionsFromJSON(options);
  }
  return {
    ...options,
    challenge: toBytes(options.challenge),
    user: { ...options.user, id: toBytes(options.user.id) },
    excludeCredentials: known(options.excludeCredentials),
  };
}

function optionsToShow(options) {
  if (PublicKeyCredential.parseRequestOptionsFromJSON) {
    return PublicKeyCredential.parseRequestOptionsFromJSON(options);
  }
  return {
    ...options,
    challenge: toBytes(options.challenge),
    allowCredentials: known(options.allowCredentials),
  };
}

/** A credential as the site reads it. */
function toJson(credential) {
  try {
    return credential.toJSON();
  } catch {
    // An older browser, or the object of a password manager that is no credential of the browser's.
  }
  const { response } = credential;
  const bytes = ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"];
  const sent = bytes.filter((name) => response[name]).map((name) => [name, toText(response[name])]);
  return {
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults?.() ?? {},
    response: { ...Object.fromEntries(sent), transports: response.getTransports?.() },
  };
}

// Talking to the site.

const valueOf = (control) => (control.type === "checkbox" ? control.checked : control.value);

const isIdentity = (control) => /\busername\b/.test(control.getAttribute("autocomplete") ?? "");

/** What the form says, and what goes along from another one. */
function fieldsOf(form) {
  const fields = {};
  for (const control of form.elements) {
    if (control.name && !OWN_FIELDS.includes(control.name)) fields[control.name] = valueOf(control);
  }
  const other = document.getElementById(form.dataset.fieldsOf ?? "");
  for (const control of other?.elements ?? []) {
    if (FIELDS_ALONG.includes(control.name)) fields[control.name] = valueOf(control);
    if (isIdentity(control) && control.value) fields.identity = control.value;
  }
  return fields;
}

/** Asks for options; an answer without them is thrown. */
async function ask(form, fields, signal) {
  let response;
  let answer;
  try {
    response = await fetch(form.dataset.optionsUrl, {
      method: "POST",
      headers: {
        Accept: "application/json",
        "Content-Type": "application/json",
        "X-CSRF-Token": form.elements.csrf_token.value,
      },
      body: JSON.stringify(fields),
      signal,
    });
    answer = (await response.json()).response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused([word(form, "msgNetwork")]);
  }
  if (response.status === 401) {
    // Signed out meanwhile, or not fresh any more: loaded again, the page leads to where that is mended.
    location.replace(location.pathname + location.search);
    return new Promise(() => {});
  }
  if (!response.ok || !answer?.wan_state) {
    throw new Refused(answer?.errors ?? [word(form, "msgFailed")], answer?.field_errors);
  }
  if (answer.csrf_token) form.elements.csrf_token.value = answer.csrf_token;
  const options = answer.credential_options;
  return { state: answer.wan_state, options: typeof options === "string" ? JSON.parse(options) : options };
}

/** The whole ceremony; it ends with the form on its way. */
async function perform(form, { signal, autofill = false } = {}) {
  const fields = fieldsOf(form);
  const { state, options } = await ask(form, autofill ? { ...fields, autofill } : fields, signal);
  const publicKey = options.publicKey ?? options;
  if (autofill && offered) {
    offered.timer = setTimeout(renew, (publicKey.timeout ?? USUAL_TIMEOUT) * OFFER_LASTS);
  }
  let credential;
  if (MAKES.includes(form.dataset.passkey)) {
    credential = await navigator.credentials.create({ publicKey: optionsToMake(publicKey), signal });
  } else {
    const mediation = autofill ? { mediation: "conditional" } : {};
    credential = await navigator.credentials.get({ publicKey: optionsToShow(publicKey), signal, ...mediation });
  }
  if (signal?.aborted) return;
  work(form);
  form.elements.credential.value = JSON.stringify(toJson(credential));
  form.action = `${form.dataset.finishUrl}/${encodeURIComponent(state)}`;
  // An ordinary form from here on: what the site answers, redirects and cookies included, is a page.
  form.submit();
}

// Telling people.

const labelOf = (form) => form.querySelector("[data-passkey-button] span");

/** Shows that a ceremony is under way. */
function work(form) {
  if (busy === form) return;
  busy = form;
  const label = labelOf(form);
  label.dataset.rest = label.textContent;
  label.textContent = word(form, "msgWorking");
  // Not `disabled`, which would take the focus away.
  label.parentElement.setAttribute("aria-disabled", "true");
}

function rest() {
  if (!busy) return;
  const label = labelOf(busy);
  label.textContent = label.dataset.rest;
  label.parentElement.removeAttribute("aria-disabled");
  busy = null;
}

function paragraphs(box, messages) {
  const lines = messages.map((message) => {
    const line = document.createElement("p");
    line.textContent = message;
    return line;
  });
  box.replaceChildren(...lines);
}

function say(form, messages) {
  const box = form.querySelector("[data-passkey-errors]");
  paragraphs(box, messages);
  box.hidden = messages.length === 0;
}

/** Says under a field what is wrong with it. */
function sayOf(field, messages) {
  const id = `${field.id}-errors`;
  let box = document.getElementById(id);
  if (!box) {
    box = document.createElement("div");
    box.className = "sec-field__errors";
    box.id = id;
    field.after(box);
  }
  paragraphs(box, messages);
  const hints = (field.getAttribute("aria-describedby") ?? "").split(" ").filter((one) => one && one !== id);
  field.setAttribute("aria-describedby", [id, ...hints].join(" "));
  field.setAttribute("aria-invalid", "true");
}

function forget(form) {
  say(form, []);
  for (const field of form.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    document.getElementById(`${field.id}-errors`)?.replaceChildren();
  }
}

function explain(form, error) {
  if (!(error instanceof Refused)) {
    say(form, [word(form, REASONS[error.name] ?? "msgFailed")]);
    return;
  }
  const wrong = Object.entries(error.fields)
    .map(([name, messages]) => [form.elements[name], messages])
    .filter(([field]) => field?.id);
  const told = wrong.flatMap(([, messages]) => messages);
  wrong.forEach(([field, messages]) => sayOf(field, messages));
  wrong[0]?.[0].focus();
  say(form, error.messages.filter((message) => !told.includes(message)));
}

// What sets it off.

async function press(form) {
  if (busy) return;
  work(form);
  forget(form);
  // A browser asks for one passkey at a time.
  await withdraw();
  try {
    await perform(form);
  } catch (error) {
    rest();
    explain(form, error);
    offer();
  }
}

/** Offers passkeys by autofill, until one is chosen or a button is pressed. */
function offer() {
  if (!autofilled || busy || offered) return;
  const controller = new AbortController();
  // That nothing came of it is no news to somebody who only types a password.
  const ended = perform(autofilled, { signal: controller.signal, autofill: true }).catch(() => {});
  offered = { controller, ended, timer: null };
}

async function withdraw() {
  if (!offered) return;
  const { controller, ended, timer } = offered;
  clearTimeout(timer);
  controller.abort();
  await ended;
  offered = null;
}

/** Offers them anew before their challenge runs out; a page that nobody sees waits until it is seen. */
async function renew() {
  if (document.hidden) {
    document.addEventListener("visibilitychange", renew, { once: true });
    return;
  }
  if (busy) return;
  await withdraw();
  offer();
}

/** What keeps this page from asking for passkeys, if anything does. */
function obstacle() {
  if (!window.isSecureContext) return "msgInsecure";
  if (!window.PublicKeyCredential || !navigator.credentials) return "msgUnsupported";
  return null;
}

async function begin() {
  const why = obstacle();
  for (const form of forms) {
    const note = form.querySelector("[data-passkey-note]");
    const button = form.querySelector("[data-passkey-button]");
    note.textContent = why ? word(form, why) : "";
    [note.hidden, button.hidden] = [!why, Boolean(why)];
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (!why) press(form);
    });
  }
  if (why) return;
  // Where somebody comes back to the page as it was left, nothing is under way any more.
  window.addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    rest();
    renew();
  });
  if (await PublicKeyCredential.isConditionalMediationAvailable?.()) {
    autofilled = forms.find((form) => "autofill" in form.dataset) ?? null;
    offer();
  }
}

begin();
