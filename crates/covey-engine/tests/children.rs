//! Children of a space between replicas, of which some are not honest.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::sync::Arc;

use common::{NOW_MS, Replica, further, garden};
use covey_engine::{Deeds, Engine, EngineError, HoldReason, load_acts};
use covey_log::Entry;
use covey_space::{ChildNews, KeyRing, MembershipOp, News, Notice, Role, Standing, ops};
use covey_types::SpaceId;

fn notice(from: &Replica, of: SpaceId, space: SpaceId, keys: KeyRing, to: &Replica) -> MembershipOp {
    let news = News::Child(ChildNews { space, name: "secret".into(), keys });
    let to = [(to.secrets.device.id(), to.secrets.kem.public())];
    MembershipOp::Notice(Notice::seal(of, from.secrets.device.id(), &to, &news).unwrap())
}

#[test]
fn a_notice_of_a_space_that_is_no_child_leads_into_nothing() {
    let (people, space) = garden(&["ada", "eve"]);
    let (ada, eve) = (&people[0], &people[1]);
    let (trap, founding, keys) = eve.with(|tx, engine, secrets| {
        let (id, entry) = engine.found_space(tx, secrets, "trap", NOW_MS)?;
        Ok((id, entry, engine.space(id)?.info.keys.clone()))
    });
    let entries = eve.forge(space, vec![notice(eve, space, trap, keys, ada)]);
    let told = ada.tell(space, entries);
    assert_eq!(told.entered.into_iter().collect::<Vec<_>>(), [(trap, true)]);
    let came = ada.tell(trap, vec![Entry::clone(&founding)]);
    assert!(came.refused[0].2.contains("no child"), "{:?}", came.refused);
    let founded = ada.with(move |_, engine, _| Ok(engine.space(trap)?.membership.is_founded()));
    assert!(!founded);
}

#[test]
fn a_notice_changes_nothing_of_a_space_that_is_here_already() {
    let (people, space) = garden(&["ada", "eve"]);
    let (ada, eve) = (&people[0], &people[1]);
    let own = ada.with(|tx, engine, secrets| Ok(engine.found_space(tx, secrets, "own", NOW_MS)?.0));
    let keys = move |replica: &Replica, id| {
        replica.with(move |_, engine, _| Ok(engine.space(id)?.info.keys.clone()))
    };
    let (before, of_parent) = (keys(ada, own), keys(ada, space));
    let strange = KeyRing::generate().0;
    let notices = [own, space].map(|id| notice(eve, space, id, strange.clone(), ada));
    let told = ada.tell(space, eve.forge(space, notices.to_vec()));
    assert_eq!((told.stored.len(), told.entered.len()), (2, 0));
    assert_eq!((keys(ada, own), keys(ada, space)), (before, of_parent));
}

/// A further device of somebody, in a space like they.
fn phone_of(one: &Replica, space: SpaceId) -> Replica {
    let phone = Replica { secrets: Arc::new(further(one)), ..Replica::new("phone") };
    let certified = phone.secrets.certified();
    one.with(move |tx, engine, secrets| engine.add_device(tx, secrets, space, &certified, NOW_MS));
    let keys = one.with(move |_, engine, _| Ok(engine.space(space)?.info.keys.clone()));
    let from = one.secrets.device.id();
    phone.with(move |tx, engine, _| engine.enter_space(tx, space, "garden", keys, from));
    phone.hear(one, space);
    phone
}

#[test]
fn children_that_somebody_makes_up_are_bounded_whatever_their_devices_and_real_ones_find_room() {
    const MADE_UP: u16 = 40;
    let (people, space) = garden(&["ada", "eve", "bob"]);
    let [ada, eve, bob] = &people[..] else { unreachable!() };
    let keys = KeyRing::generate().0;
    let phones = [phone_of(eve, space), phone_of(eve, space)];
    ada.hear(eve, space);
    let mut entered = 0;
    for (of, one) in [eve, &phones[0], &phones[1]].into_iter().enumerate() {
        let made_up = |i: u16| {
            let mut id = [of as u8; 32];
            id[..2].copy_from_slice(&i.to_le_bytes());
            notice(one, space, SpaceId(id), keys.clone(), ada)
        };
        let told = ada.tell(space, one.forge(space, (0..MADE_UP).map(made_up).collect()));
        entered += told.entered.len();
        let passed_on = "what is passed over is kept and passed on all the same";
        assert_eq!(told.stored.len(), usize::from(MADE_UP), "{passed_on}");
    }
    assert_eq!(entered, 64);
    let user = ada.user();
    let child = bob.with(move |tx, engine, secrets| {
        Ok(engine.found_child(tx, secrets, space, ("real", &[(user, Role::Member)]), NOW_MS)?.0)
    });
    assert_eq!(ada.hear(bob, space).entered.into_keys().collect::<Vec<_>>(), [child]);
}

#[test]
fn a_notice_that_found_no_room_is_looked_at_again_when_there_is_some() {
    let (people, space) = garden(&["ada", "bob"]);
    let [ada, bob] = &people[..] else { unreachable!() };
    let user = ada.user();
    let children = bob.with(move |tx, engine, secrets| {
        let found = |n: usize| {
            let name = format!("{n}");
            Ok(engine.found_child(tx, secrets, space, (&name, &[(user, Role::Member)]), NOW_MS)?.0)
        };
        (0..66).map(found).collect::<Result<Vec<_>, EngineError>>()
    });
    let told = ada.hear(bob, space);
    assert_eq!(told.entered.len(), 64);
    let (here, left): (Vec<_>, Vec<_>) = children.into_iter().partition(|id| told.entered.contains_key(id));
    assert_eq!(left.len(), 2);
    let one = ada.hear(bob, here[0]);
    assert_eq!(one.entered.len(), 1, "one has proved to be real: there's room for one more");
    // Those that are left are looked at at the start too.
    let later = ada.hear(bob, here[1]).entered;
    let entered: Vec<SpaceId> = one.entered.into_keys().chain(later.into_keys()).collect();
    assert_eq!(entered, left);
    let none = ada.with(move |tx, engine, secrets| {
        Ok(engine.release(tx, secrets, space, HoldReason::Unknown, NOW_MS)?.entered.len())
    });
    assert_eq!(none, 0, "nothing is left, and nothing is entered twice");
}

#[test]
fn a_child_waits_for_whom_the_parent_does_not_know_here_and_serves_them_once_it_does() {
    let (people, space) = garden(&["ada", "bob", "cem"]);
    let [ada, bob, cem] = &people[..] else { unreachable!() };
    let (member, owner) = (cem.user(), bob.user());
    let child = ada.with(move |tx, engine, secrets| {
        let people = [(owner, Role::Owner)];
        Ok(engine.found_child(tx, secrets, space, ("secret", &people), NOW_MS)?.0)
    });
    bob.hear(ada, space);
    bob.hear(ada, child);
    // Cem comes with a further device, of which bob hasn't heard in the parent when he does in the child.
    let phone = phone_of(cem, space);
    ada.hear(cem, space);
    ada.with(move |tx, engine, secrets| {
        engine.take_in(tx, secrets, child, &[(member, Role::Member)], NOW_MS)
    });
    bob.hear(ada, child);
    let device = phone.secrets.device.id();
    let standing = |at: &Replica| at.with(move |_, engine, _| Ok(engine.standing(child, device)));
    assert_eq!((standing(ada), standing(bob)), (Standing::Member, Standing::Unknown));
    let sealed = |deeds: &Deeds, at: &Replica| {
        let hash = deeds.last().unwrap().1.0.hash;
        at.with(move |tx, engine, _| {
            let state = engine.space(child)?;
            let acts = load_acts(&*tx, state.key, &state.info.keys)?;
            let acts = acts.into_iter().find(|(entry, _)| entry.hash == hash).unwrap().1;
            Ok(acts.iter().flat_map(MembershipOp::sealed_keys).any(|key| key.device == device))
        })
    };
    let rotated = bob
        .with(move |tx, engine, secrets| Ok(vec![(child, engine.rotate_key(tx, secrets, child, NOW_MS)?)]));
    assert!(!sealed(&rotated, bob), "bob doesn't know that the phone is cem's in the parent");
    assert!(bob.tend(child).is_empty());
    bob.hear(ada, space);
    assert_eq!(standing(bob), Standing::Member);
    let shared = bob.tend(child);
    assert!(sealed(&shared, bob));
    phone.hear(bob, space);
    phone.hear(bob, child);
    let has_key = phone.with(move |_, engine, _| Ok(engine.space(child)?.current_key().is_some()));
    assert!(has_key);
}

#[test]
fn an_owner_whom_nobody_left_may_put_out_gets_no_further_key() {
    let (people, space) = garden(&["zoe", "ada", "bob"]);
    let [zoe, ada, bob] = &people[..] else { unreachable!() };
    let (admin, gone) = (bob.user(), ada.user());
    let child = ada.with(move |tx, engine, secrets| {
        Ok(engine.found_child(tx, secrets, space, ("secret", &[(admin, Role::Admin)]), NOW_MS)?.0)
    });
    zoe.hear(ada, space);
    bob.hear(ada, space);
    bob.hear(ada, child);
    let deeds = zoe.with(move |tx, engine, secrets| {
        engine.remove_member(tx, secrets, space, gone, NOW_MS)?;
        engine.tend_children(tx, secrets, space, NOW_MS)
    });
    assert!(deeds.is_empty(), "zoe knows of no child");
    assert!(bob.tend(child).is_empty());
    bob.hear(zoe, space);
    let device = ada.secrets.device.id();
    let state = |at: &Replica| {
        at.with(move |_, engine, _| {
            let given = engine.space(child)?.membership.was_given_key(device);
            Ok((engine.standing(child, device), given))
        })
    };
    assert_eq!(state(bob), (Standing::PutOut, true));
    assert_eq!(bob.tend(child).len(), 1);
    assert_eq!(state(bob), (Standing::PutOut, false));
    assert!(bob.tend(child).is_empty(), "nothing is left to do");
    // Whoever was put out of the parent and hears of it does nothing more in the child.
    ada.hear(zoe, space);
    let refused = ada.with(move |tx, engine, secrets| {
        Ok(engine
            .rotate_key(tx, secrets, child, NOW_MS)
            .is_err_and(|err| matches!(err, EngineError::PutOut { .. })))
    });
    assert!(refused);
}

#[test]
fn a_child_whose_only_owner_is_out_of_the_parent_is_known_to_be_without_one() {
    let (people, space) = garden(&["zoe", "ada", "bob"]);
    let [zoe, ada, bob] = &people[..] else { unreachable!() };
    let (member, gone) = (bob.user(), ada.user());
    let child = ada.with(move |tx, engine, secrets| {
        Ok(engine.found_child(tx, secrets, space, ("secret", &[(member, Role::Member)]), NOW_MS)?.0)
    });
    bob.hear(ada, space);
    bob.hear(ada, child);
    let is_orphaned = |id| bob.with(move |_, engine, _| Ok(engine.is_orphaned(id)));
    assert_eq!((is_orphaned(child), is_orphaned(space)), (false, false));
    zoe.hear(ada, space);
    zoe.with(move |tx, engine, secrets| engine.remove_member(tx, secrets, space, gone, NOW_MS));
    bob.hear(zoe, space);
    assert_eq!((is_orphaned(child), is_orphaned(space)), (true, false));
    assert!(bob.tend(child).is_empty());
}

/// A child whose founder has made somebody an owner of it who has no key at all.
fn poisoned(eve: &Replica, space: SpaceId, vic: &Replica) -> SpaceId {
    let (child, keys) = eve.with(move |tx, engine, secrets| {
        let id = engine.found_child(tx, secrets, space, ("trap", &[]), NOW_MS)?.0;
        Ok((id, engine.space(id)?.info.keys.for_own_devices()))
    });
    vic.tell(space, eve.forge(space, vec![notice(eve, space, child, keys, vic)]));
    vic.hear(eve, child);
    let add = MembershipOp::AddMember(ops::AddMember {
        user: vic.user(),
        user_name: "vic".into(),
        role: Role::Owner,
        devices: vec![vic.secrets.certified()],
        keys: Vec::new(),
    });
    let took_in = vic.tell(child, eve.forge(child, vec![add]));
    assert_eq!(took_in.refused, []);
    let (role, has_key) = vic.with(move |_, engine, secrets| {
        let state = engine.space(child)?;
        Ok((engine.role_in(child, secrets.device.id()), state.info.keys.newest().is_some()))
    });
    assert_eq!((role, has_key), (Some(Role::Owner), false));
    child
}

#[test]
fn a_child_that_cannot_be_written_keeps_nobody_in_its_parent() {
    let (people, space) = garden(&["vic", "eve", "bob"]);
    let [vic, eve, bob] = &people[..] else { unreachable!() };
    poisoned(eve, space, vic);
    let (gone, heir) = (eve.user(), bob.user());
    let (deeds, left) = vic.with(move |tx, engine, secrets| {
        engine.remove_member(tx, secrets, space, gone, NOW_MS)?;
        let deeds = engine.tend_children(tx, secrets, space, NOW_MS)?;
        Ok((deeds, engine.space(space)?.membership.role_of_user(gone)))
    });
    assert_eq!((deeds.len(), left), (0, None));
    // Nor does it keep the one who was taken in.
    vic.with(move |tx, engine, secrets| {
        engine.set_role(tx, secrets, space, heir, Role::Owner, NOW_MS)?;
        assert!(engine.leave_children(tx, secrets, space, NOW_MS)?.is_empty());
        engine.remove_member(tx, secrets, space, secrets.user.id(), NOW_MS)
    });
    bob.hear(vic, space);
    let members = bob.with(move |_, engine, _| Ok(engine.space(space)?.membership.len()));
    assert_eq!(members, 1);
}

#[test]
fn what_fails_in_one_child_is_undone_and_left_for_later_and_the_others_are_tended() {
    let (people, space) = garden(&["ada", "bob"]);
    let [ada, bob] = &people[..] else { unreachable!() };
    let user = bob.user();
    let children = ["one", "two"].map(|name| {
        ada.with(move |tx, engine, secrets| {
            let people = [(user, Role::Member)];
            Ok(engine.found_child(tx, secrets, space, (name, &people), NOW_MS)?.0)
        })
    });
    let members = |engine: &Engine, child| engine.space(child).unwrap().membership.len();
    let (deeds, left) = ada.with(move |tx, engine, secrets| {
        engine.remove_member(tx, secrets, space, user, NOW_MS)?;
        // What is in memory of one of them doesn't fit the rows.
        let gone = tx.insert_space(SpaceId([1; 32]), b"")?;
        tx.remove_space(gone)?;
        engine.spaces.get_mut(&children[0]).unwrap().key = gone;
        let deeds = engine.tend_children(tx, secrets, space, NOW_MS)?;
        Ok((deeds, children.map(|child| members(engine, child))))
    });
    assert_eq!(deeds.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [children[1]]);
    assert_eq!(left, [2, 1]);
    assert_eq!(ada.tend(children[0]).len(), 1);
    let left = ada.with(move |_, engine, _| Ok(children.map(|child| members(engine, child))));
    assert_eq!(left, [1, 1]);
}

#[test]
fn a_child_of_which_several_notices_tell_at_once_is_new() {
    let (people, space) = garden(&["ada", "bob"]);
    let [ada, bob] = &people[..] else { unreachable!() };
    let user = bob.user();
    let child = ada.with(move |tx, engine, secrets| {
        let (child, _) =
            engine.found_child(tx, secrets, space, ("secret", &[(user, Role::Member)]), NOW_MS)?;
        engine.take_in(tx, secrets, child, &[(user, Role::Admin)], NOW_MS)?;
        Ok(child)
    });
    let told = bob.hear(ada, space);
    assert_eq!(told.entered.into_iter().collect::<Vec<_>>(), [(child, true)]);
}

#[test]
fn whoever_goes_back_to_before_they_founded_a_child_finds_it_again() {
    let (people, space) = garden(&["ada", "bob"]);
    let [ada, bob] = &people[..] else { unreachable!() };
    // A copy of Ada's home, as it was before.
    let old = Replica { secrets: Arc::clone(&ada.secrets), ..Replica::new("ada") };
    let keys = ada.with(move |_, engine, _| Ok(engine.space(space)?.info.keys.clone()));
    let from = bob.secrets.device.id();
    old.with(move |tx, engine, _| engine.enter_space(tx, space, "garden", keys, from));
    let owner = bob.user();
    let child = ada.with(move |tx, engine, secrets| {
        let founded = engine.found_child(tx, secrets, space, ("secret", &[(owner, Role::Owner)]), NOW_MS);
        Ok(founded?.0)
    });
    bob.hear(ada, space);
    bob.hear(ada, child);
    let told = old.hear(bob, space);
    assert_eq!(told.entered.into_iter().collect::<Vec<_>>(), [(child, true)]);
    old.hear(bob, child);
    let has_key = old.with(move |_, engine, _| Ok(engine.space(child)?.current_key().is_some()));
    assert!(has_key);
}

#[test]
fn a_notice_of_somebody_whose_letting_in_fell_is_followed_whichever_of_both_is_heard_first() {
    let (people, space) = garden(&["ada", "bob", "dan"]);
    let [ada, bob, dan] = &people[..] else { unreachable!() };
    let admin = bob.user();
    ada.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, admin, Role::Admin, NOW_MS));
    bob.hear(ada, space);
    // Ada takes that back, while Bob, who doesn't know, lets Cem in; who makes a child with the others.
    ada.with(move |tx, engine, secrets| engine.set_role(tx, secrets, space, admin, Role::Guest, NOW_MS));
    let cem = Replica::new("cem");
    bob.let_in(space, &cem, Role::Member);
    let taken_in = [(ada.user(), Role::Owner), (dan.user(), Role::Owner)];
    let child = cem.with(move |tx, engine, secrets| {
        Ok(engine.found_child(tx, secrets, space, ("shed", &taken_in), NOW_MS)?.0)
    });
    let told = dan.hear(&cem, space);
    assert_eq!(told.entered.into_keys().collect::<Vec<_>>(), [child], "dan hasn't heard from ada");
    dan.hear(ada, space);
    let told = ada.hear(&cem, space);
    let device = cem.secrets.device.id();
    let is_in = ada.with(move |_, engine, _| Ok(engine.space(space)?.membership.has_device(device)));
    assert!(!is_in, "what bob did fell");
    assert_eq!(told.entered.into_keys().collect::<Vec<_>>(), [child], "they come to the same");
    dan.hear(&cem, child);
    ada.hear(dan, child);
    let has_key = ada.with(move |_, engine, _| Ok(engine.space(child)?.current_key().is_some()));
    assert!(has_key);
}

#[test]
fn a_device_that_nothing_let_into_the_parent_after_all_keeps_no_current_key_of_the_child() {
    let (people, space) = garden(&["ada", "bob"]);
    let [ada, bob] = &people[..] else { unreachable!() };
    let owner = ada.user();
    let child = bob.with(move |tx, engine, secrets| {
        Ok(engine.found_child(tx, secrets, space, ("shed", &[(owner, Role::Owner)]), NOW_MS)?.0)
    });
    ada.hear(bob, space);
    ada.hear(bob, child);
    // Another history of Ada's log in the parent begins where she lets a phone of hers in.
    let other = ada.forge(space, vec![MembershipOp::ShareKeys(Vec::new())]);
    let phone = phone_of(ada, space);
    assert!(!ada.tend(child).is_empty());
    bob.hear(ada, space);
    bob.hear(ada, child);
    let device = phone.secrets.device.id();
    let state = || {
        bob.with(move |_, engine, _| {
            let given = engine.space(child)?.membership.was_given_key(device);
            Ok((engine.standing(child, device), given))
        })
    };
    assert_eq!(state(), (Standing::Member, true));
    assert!(bob.tend(child).is_empty());
    assert!(!bob.tell(space, other).forked.is_empty(), "bob sees both histories");
    assert_eq!(state(), (Standing::Unknown, true));
    assert_eq!(bob.tend(child).len(), 1);
    assert_eq!(state(), (Standing::Unknown, false), "it's put out of nothing, and can't read on");
    assert!(bob.tend(child).is_empty(), "nothing is left to do");
}

#[test]
fn a_device_that_came_in_by_a_void_act_on_which_it_built_comes_into_children_too() {
    let (people, space) = garden(&["ada", "bob"]);
    let [ada, bob] = &people[..] else { unreachable!() };
    let other = ada.forge(space, vec![MembershipOp::ShareKeys(Vec::new())]);
    let phone = phone_of(ada, space);
    phone.with(move |tx, engine, secrets| engine.rotate_key(tx, secrets, space, NOW_MS));
    bob.hear(ada, space);
    bob.hear(&phone, space);
    assert!(!bob.tell(space, other).forked.is_empty(), "bob sees both histories");
    let (owner, device) = (ada.user(), phone.secrets.device.id());
    let child = bob.with(move |tx, engine, secrets| {
        Ok(engine.found_child(tx, secrets, space, ("shed", &[(owner, Role::Owner)]), NOW_MS)?.0)
    });
    let standing = bob.with(move |_, engine, _| Ok(engine.standing(child, device)));
    assert_eq!(standing, Standing::Member, "it is in the parent, and so in the child");
    assert!(bob.tend(child).is_empty(), "nothing is left to do");
}
