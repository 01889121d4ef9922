//! What MySQL clients are checked against whose user does not exist.
//!
//! How a password is asked for, and how long checking it takes, depends on the form in which it is configured. So a name that
//! nobody has is treated as one of the configured users is, the same at every try: else who asks for many names would see
//! which of them exist. It depends also on what that user's logins have taught of the password since then.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use arc_swap::ArcSwap;
use auth::{Credential, Secret};

use crate::{
    plan::Plan,
    secrets::{UserSecret, random},
};

/// The secrets that unknown users seem to have.
#[derive(Debug)]
pub(crate) struct Decoys {
    /// Those of all users, so that names that exist and others have each form equally often.
    configured: ArcSwap<Vec<Arc<UserSecret>>>,
    /// Where no user has any.
    nobodys: Arc<UserSecret>,
    /// Gives each name its place; nobody outside can tell which.
    hasher: RandomState,
}

impl Decoys {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            configured: ArcSwap::from_pointee(secrets(plan)),
            nobodys: Arc::new(UserSecret::new(Credential::Plain(Secret::new(random::<32>().to_vec())))),
            hasher: RandomState::new(),
        }
    }

    /// The users are these from now on.
    pub(crate) fn update(&self, plan: &Plan) {
        self.configured.store(Arc::new(secrets(plan)));
    }

    /// What a user of this name, who does not exist, seems to have. No proof of it may let anybody in.
    pub(crate) fn of(&self, user: &[u8]) -> Arc<UserSecret> {
        let configured = self.configured.load();
        let place = self.hasher.hash_one(user).checked_rem(configured.len() as u64);
        place.and_then(|place| configured.get(place as usize)).unwrap_or(&self.nobodys).clone()
    }
}

/// In the order of the names: the same after a reload that changes none of them.
fn secrets(plan: &Plan) -> Vec<Arc<UserSecret>> {
    let mut users: Vec<_> = plan.users.iter().collect();
    users.sort_unstable_by_key(|(name, _)| *name);
    users.into_iter().filter_map(|(_, entry)| entry.secret.clone()).collect()
}

#[cfg(test)]
mod tests {
    use auth::{Learned, caching_sha2::Stage1};

    use super::*;

    fn decoys(configured: &[&str]) -> Decoys {
        let plain = |text: &str| Arc::new(UserSecret::new(Credential::Plain(Secret::new(text.into()))));
        Decoys {
            configured: ArcSwap::from_pointee(configured.iter().map(|text| plain(text)).collect()),
            nobodys: plain("nobody's"),
            hasher: RandomState::new(),
        }
    }

    #[test]
    fn unknown_names_have_what_users_have_and_always_the_same() {
        let decoys = decoys(&["one", "other"]);
        let names: Vec<_> = (0..200).map(|n| format!("name {n}")).collect();
        let seen: Vec<_> = names.iter().map(|name| decoys.of(name.as_bytes())).collect();
        for (name, seen) in names.iter().zip(&seen) {
            assert!(Arc::ptr_eq(&decoys.of(name.as_bytes()), seen));
        }
        let is_seen = |secret: &Arc<UserSecret>| seen.iter().any(|seen| Arc::ptr_eq(seen, secret));
        assert!(decoys.configured.load().iter().all(is_seen), "each of them is somebody's");
        assert!(!is_seen(&decoys.nobodys));
    }

    #[test]
    fn unknown_names_are_asked_for_no_more_than_users_that_have_logged_in_before() {
        let decoys = decoys(&["a user's"]);
        assert!(decoys.of(b"nobody").learned().sha2.is_none());
        let stage1 = Stage1::from_password(&Secret::from("a user's"));
        decoys.configured.load()[0].learn_mysql(Learned { sha2: Some(stage1), ..Learned::default() });
        assert!(decoys.of(b"nobody").learned().sha2.is_some());
    }

    #[test]
    fn where_there_are_no_users_names_have_something_all_the_same() {
        let decoys = decoys(&[]);
        assert!(Arc::ptr_eq(&decoys.of(b"anybody"), &decoys.nobodys));
    }
}
