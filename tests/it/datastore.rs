//! The datastore from code: every operation, and many at once.

use rocket::futures::future::{join, join_all};
use rocket_security::{EmailAddress, NewUser, StoreError, Unique, UserId, UserQuery, Username};
use serde_json::json;

use crate::app::{PASSWORD, for_each_database, hash_of};

#[rocket::async_test]
async fn accounts_are_made_found_and_deleted() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let (store, accounts) = (app.store(), app.accounts());
        let name = Username::normalise("Lovelace").unwrap();
        let ada = app
            .user_with("Ada@Example.com", |new| new.username(name.clone()))
            .await;
        let address = |text: &str| EmailAddress::parse(text).unwrap();
        assert_eq!(store.find_user(&ada.id).await.unwrap(), Some(ada.clone()));
        assert_eq!(
            store
                .find_user_by_email(&address(" ADA@example.com"))
                .await
                .unwrap()
                .unwrap()
                .id,
            ada.id
        );
        let spelt = Username::normalise("LOVELACE").unwrap();
        assert_eq!(
            store
                .find_user_by_username(&spelt)
                .await
                .unwrap()
                .unwrap()
                .id,
            ada.id
        );
        // Another address with another accent or a blank is another address.
        assert!(
            store
                .find_user_by_email(&address("äda@example.com"))
                .await
                .unwrap()
                .is_none()
        );
        let taken = accounts
            .create_user(NewUser::new(address("ADA@EXAMPLE.COM")))
            .await;
        assert!(
            matches!(taken, Err(StoreError::Taken(Unique::Email))),
            "{taken:?}"
        );
        let taken = accounts
            .create_user(NewUser::new(address("b@example.com")).username(spelt))
            .await;
        assert!(
            matches!(taken, Err(StoreError::Taken(Unique::Username))),
            "{taken:?}"
        );
        // Whatever the taken value looks like.
        let named = |email: &str| {
            NewUser::new(address(email)).username(Username::normalise("my_email_key").unwrap())
        };
        let first = accounts
            .create_user(named("first@example.com"))
            .await
            .unwrap();
        let taken = accounts.create_user(named("second@example.com")).await;
        assert!(
            matches!(taken, Err(StoreError::Taken(Unique::Username))),
            "{taken:?}"
        );
        accounts.delete_user(&first.id).await.unwrap();
        let more: Vec<UserId> = {
            let mut ids = Vec::new();
            for n in 0..5 {
                ids.push(app.user(&format!("user{n}@example.com")).await.id);
            }
            ids
        };
        assert_eq!(store.count_users().await.unwrap(), 6);
        let page = store.list_users(Some(&ada.id), 2).await.unwrap();
        assert_eq!(
            page.iter().map(|user| &user.id).collect::<Vec<_>>(),
            more[..2].iter().collect::<Vec<_>>()
        );
        assert_eq!(store.list_users(None, 0).await.unwrap().len(), 1, "clamped");
        app.grant(&ada, "admin", &["x"]).await;
        let found = async |query: UserQuery| -> Vec<String> {
            let found = store.search_users(&query).await.unwrap();
            found.into_iter().map(|user| user.email).collect()
        };
        let all = UserQuery::new();
        assert_eq!(
            found(all.clone().text(" USER3@")).await,
            ["user3@example.com"]
        );
        assert_eq!(found(all.clone().text("user")).await.len(), 5);
        assert_eq!(found(all.clone().text("%")).await.len(), 0);
        assert_eq!(found(all.clone().text("user_@")).await.len(), 0);
        assert_eq!(found(all.clone().role("admin")).await, [ada.email.as_str()]);
        assert_eq!(found(all.clone().role("admin").text("user")).await.len(), 0);
        assert_eq!(found(all.clone().role(" nobody's")).await.len(), 0);
        accounts.deactivate_user(&more[0]).await.unwrap();
        assert_eq!(
            found(all.clone().active(false)).await,
            ["user0@example.com"]
        );
        assert_eq!(found(all.clone().active(true).text("user")).await.len(), 4);
        let mut pages = store.user_pages(all.limit(4));
        let mut sizes = Vec::new();
        while let Some(page) = pages.next().await.unwrap() {
            sizes.push(page.len());
        }
        assert_eq!(sizes, [4, 2]);
        let browser = app.signed_in(&ada).await;
        assert!(accounts.delete_user(&ada.id).await.unwrap());
        assert!(!accounts.delete_user(&ada.id).await.unwrap());
        assert!(!browser.is_signed_in().await);
        for table in ["security_sessions", "user_roles"] {
            assert_eq!(
                app.number(&format!("SELECT COUNT(*) AS n FROM {table}"))
                    .await,
                0,
                "{table}"
            );
        }
    })
    .await;
}

#[rocket::async_test]
async fn roles_and_permissions_are_given_and_taken() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let (store, accounts, ada) = (
            app.store(),
            app.accounts(),
            app.user("ada@example.com").await,
        );
        accounts
            .create_role("editor", Some("Writes"))
            .await
            .unwrap();
        let twice = accounts.create_role("editor", None).await;
        assert!(
            matches!(twice, Err(StoreError::Taken(Unique::RoleName))),
            "{twice:?}"
        );
        assert_eq!(
            accounts
                .find_or_create_role("editor")
                .await
                .unwrap()
                .description
                .as_deref(),
            Some("Writes")
        );
        assert_eq!(
            accounts
                .add_permissions_to_role("editor", &["a,b", "post:publish", "a,b"])
                .await
                .unwrap(),
            2
        );
        assert!(accounts.add_role_to_user(&ada.id, "editor").await.unwrap());
        assert!(!accounts.add_role_to_user(&ada.id, "editor").await.unwrap());
        let grants = store.grants(&ada.id).await.unwrap();
        assert!(
            grants.has_role("editor")
                && grants.has_permission("a,b")
                && grants.has_permission("post:publish")
        );
        // Exactly: neither case nor parts.
        assert!(
            !grants.has_role("Editor")
                && !grants.has_permission("a")
                && !grants.has_permission("post:%")
        );
        assert_eq!(
            store.users_with_role("editor").await.unwrap(),
            [store.find_user(&ada.id).await.unwrap().unwrap()]
        );
        let browser = app.signed_in(&ada).await;
        assert_eq!(browser.get("/g/publish").await.status, 200);
        assert_eq!(
            accounts
                .remove_permissions_from_role("editor", &["post:publish", "none"])
                .await
                .unwrap(),
            1
        );
        assert_eq!(browser.get("/g/publish").await.status, 403, "at once");
        assert!(
            accounts
                .remove_role_from_user(&ada.id, "editor")
                .await
                .unwrap()
        );
        assert!(
            !accounts
                .remove_role_from_user(&ada.id, "editor")
                .await
                .unwrap()
        );
        assert!(matches!(
            accounts.add_role_to_user(&ada.id, "nothing").await,
            Err(StoreError::Missing)
        ));
        assert!(matches!(
            accounts.add_role_to_user(&UserId::new(), "editor").await,
            Err(StoreError::Missing)
        ));
        let long = "x".repeat(192);
        for name in ["", " x", "x\n", long.as_str()] {
            assert!(
                matches!(
                    accounts.create_role(name, None).await,
                    Err(StoreError::Refused(_))
                ),
                "{name:?}"
            );
        }
        assert!(accounts.delete_role("editor").await.unwrap());
        assert!(store.list_roles().await.unwrap().is_empty());
    })
    .await;
}

#[rocket::async_test]
async fn many_at_once_do_what_one_after_the_other_would() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let accounts = app.accounts().clone();
        let ada = app.user("ada@example.com").await;
        for _ in 0..5 {
            let made = join_all((0..6).map(|_| accounts.find_or_create_role("editor"))).await;
            let ids: std::collections::BTreeSet<_> = made
                .into_iter()
                .map(|role| role.unwrap().id.to_string())
                .collect();
            assert_eq!(ids.len(), 1);
            let given =
                join_all((0..6).map(|_| accounts.add_role_to_user(&ada.id, "editor"))).await;
            assert_eq!(
                given
                    .into_iter()
                    .filter(|new| *new.as_ref().unwrap())
                    .count(),
                1
            );
            let added =
                join_all((0..6).map(|_| accounts.add_permissions_to_role("editor", &["a", "b"])))
                    .await;
            assert_eq!(added.into_iter().map(Result::unwrap).sum::<usize>(), 2);
            let shut = join_all((0..6).map(|_| accounts.deactivate_user(&ada.id))).await;
            assert_eq!(
                shut.into_iter()
                    .filter(|changed| *changed.as_ref().unwrap())
                    .count(),
                1
            );
            accounts.activate_user(&ada.id).await.unwrap();
            accounts.delete_role("editor").await.unwrap();
        }
    })
    .await;
}

#[rocket::async_test]
async fn nothing_that_ends_an_account_is_outrun_by_a_sign_in() {
    for_each_database(|plan| async move {
        let app = plan.without_limits().start().await;
        let (store, accounts) = (app.store().clone(), app.accounts().clone());
        let ada = app.user("ada@example.com").await;
        for round in 0..20 {
            let browsers: Vec<_> = (0..3).map(|_| app.browser()).collect();
            let program = app.program();
            let body = json!({"email": "ada@example.com", "password": PASSWORD});
            let csrf = join_all(browsers.iter().map(|browser| browser.csrf())).await;
            let forms: Vec<_> = csrf
                .iter()
                .map(|token| {
                    [
                        ("email", "ada@example.com"),
                        ("password", PASSWORD),
                        ("remember", "true"),
                        ("csrf_token", token.as_str()),
                    ]
                })
                .collect();
            let logins = join_all(
                browsers
                    .iter()
                    .zip(&forms)
                    .map(|(browser, form)| browser.post_raw_form("/login", form)),
            );
            let token = program.post_json("/login?include_auth_token", body);
            let ends = async {
                // Somewhere in the middle of the hashing: each round meets another moment of it.
                rocket::tokio::time::sleep(std::time::Duration::from_millis(round * 3)).await;
                match round % 2 {
                    0 => drop(accounts.deactivate_user(&ada.id).await.unwrap()),
                    _ => drop(
                        accounts
                            .set_password_hash(&ada.id, hash_of("another battery staple"), true)
                            .await
                            .unwrap(),
                    ),
                }
            };
            let ((_, token), ()) = join(join(logins, token), ends).await;
            let token = token.json()["response"]["user"]["authentication_token"]
                .as_str()
                .map(String::from);
            // Whoever came in before is out; nobody came in after by what was taken away.
            if round % 2 == 0 {
                assert!(!store.find_user(&ada.id).await.unwrap().unwrap().active);
            }
            for browser in &browsers {
                assert!(!browser.is_signed_in().await, "round {round}");
                browser.forget_cookie("security_session");
                assert!(!browser.is_signed_in().await, "round {round}: remembered");
            }
            if let Some(token) = token {
                assert!(
                    !app.program().token(&token).is_signed_in().await,
                    "round {round}: token"
                );
            }
            accounts.activate_user(&ada.id).await.unwrap();
            for browser in &browsers {
                assert!(!browser.is_signed_in().await, "round {round}: after");
            }
            accounts
                .set_password_hash(&ada.id, hash_of(PASSWORD), true)
                .await
                .unwrap();
        }
    })
    .await;
}

#[rocket::async_test]
async fn an_application_shares_the_pool_or_brings_its_own() {
    for_each_database(|plan| async move {
        let app = plan.start().await;
        let ada = app.user("ada@example.com").await;
        let email = {
            use diesel::prelude::*;
            diesel::table! { users (id) { id -> Text, email -> Text, } }
            let mut conn = app.pool().get().unwrap();
            users::table
                .find(ada.id.as_str())
                .select(users::email)
                .first::<String>(&mut conn)
                .unwrap()
        };
        assert_eq!(email, "ada@example.com");
        let store = rocket_security::Store::from_pool(
            app.pool().clone(),
            std::time::Duration::from_secs(1),
            Default::default(),
        )
        .unwrap();
        assert_eq!(store.count_users().await.unwrap(), 1);
    })
    .await;
}
