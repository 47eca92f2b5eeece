//! What the lanes of a warp do together, and how diverged lanes meet again.

use crate::support::threads;

/// Inputs of a full warp: lane, and lane squared.
fn warp() -> Vec<[u32; 4]> {
    (0..32).map(|lane| [lane, lane * lane, lane % 4, 0]).collect()
}

/// `body` on a full warp: %out0 of every lane.
fn lanes(body: &str) -> Vec<u32> {
    threads(body, &warp()).into_iter().map(|out| out[0]).collect()
}

#[test]
fn shuffles() {
    let square = |lane: u32| lane * lane;
    let want = |from: fn(u32) -> u32| (0..32).map(|lane| square(from(lane))).collect::<Vec<_>>();
    let own_or = |from: u32, lane: u32| if from < 32 { from } else { lane };
    assert_eq!(lanes("shfl.sync.bfly.b32 %out0, %in1, 5, 31, -1;"), want(|lane| lane ^ 5));
    assert_eq!(lanes("shfl.sync.idx.b32 %out0, %in1, 7, 31, -1;"), want(|_| 7));
    let down: Vec<_> = (0..32).map(|lane| square(own_or(lane + 3, lane))).collect();
    assert_eq!(lanes("shfl.sync.down.b32 %out0, %in1, 3, 31, -1;"), down);
    let up: Vec<_> = (0..32).map(|lane: u32| square(lane.checked_sub(3).unwrap_or(lane))).collect();
    assert_eq!(lanes("shfl.sync.up.b32 %out0, %in1, 3, 0, -1;"), up);
    // In segments of 8: the mask of the upper bits stands in bits 8 to 12 of c.
    let c = 0x1800 | 7;
    let segment: Vec<_> = (0..32).map(|lane| square(lane & 24 | 2)).collect();
    assert_eq!(lanes(&format!("shfl.sync.idx.b32 %out0, %in1, 2, {c}, -1;")), segment);
    let inside: Vec<_> = (0..32).map(|lane| u32::from(lane % 8 + 3 < 8)).collect();
    let body = format!("shfl.sync.down.b32 %r1|%p1, %in1, 3, {c}, -1;\nselp.b32 %out0, 1, 0, %p1;");
    assert_eq!(lanes(&body), inside);
}

#[test]
fn shuffles_of_part_of_a_warp() {
    // The even and the odd lanes shuffle apart, at the same instruction with masks of their own.
    let body = "and.b32 %r1, %in0, 1;\nsetp.eq.u32 %p1, %r1, 0;\nselp.b32 %r2, 0x55555555, 0xaaaaaaaa, %p1;\n\
                shfl.sync.bfly.b32 %out0, %in1, 2, 31, %r2;";
    assert_eq!(lanes(body), (0..32_u32).map(|lane| (lane ^ 2) * (lane ^ 2)).collect::<Vec<_>>());
}

#[test]
fn a_late_lane_holds_up_its_own_mask_only() {
    // Lane 0 comes from behind; the even lanes wait for it while the odd ones go on.
    let body = "and.b32 %r1, %in0, 1;\nsetp.eq.u32 %p1, %r1, 0;\nselp.b32 %r2, 0x55555555, 0xaaaaaaaa, %p1;\n\
                setp.eq.u32 %p2, %in0, 0;\n@%p2 bra late;\n\
                join: shfl.sync.bfly.b32 %out0, %in1, 2, 31, %r2;\nbra done;\nlate: bra join;\ndone:";
    assert_eq!(lanes(body), (0..32_u32).map(|lane| (lane ^ 2) * (lane ^ 2)).collect::<Vec<_>>());
}

#[test]
fn votes() {
    let body = |vote: &str| format!("setp.lt.u32 %p1, %in0, 5;\n{vote}");
    assert_eq!(lanes(&body("vote.sync.ballot.b32 %out0, %p1, -1;")), [31; 32]);
    assert_eq!(lanes(&body("vote.sync.ballot.b32 %out0, !%p1, -1;")), [!31; 32]);
    let flag = |mode: &str| body(&format!("vote.sync.{mode}.pred %p2, %p1, -1;\nselp.b32 %out0, 1, 0, %p2;"));
    assert_eq!(lanes(&flag("any")), [1; 32]);
    assert_eq!(lanes(&flag("all")), [0; 32]);
    assert_eq!(lanes(&flag("uni")), [0; 32]);
}

#[test]
fn matches() {
    let same: Vec<_> = (0..32).map(|lane| 0x1111_1111 << (lane % 4)).collect();
    assert_eq!(lanes("match.any.sync.b32 %out0, %in2, -1;"), same);
    let body = "match.all.sync.b32 %r1|%p1, %in2, -1;\nselp.b32 %out0, %r1, 99, %p1;";
    assert_eq!(lanes(body), [99; 32]);
    let body = "match.all.sync.b32 %r1|%p1, 5, -1;\nselp.b32 %out0, %r1, 99, %p1;";
    assert_eq!(lanes(body), [u32::MAX; 32]);
}

#[test]
fn reductions() {
    assert_eq!(lanes("redux.sync.add.u32 %out0, %in0, -1;"), [496; 32]);
    assert_eq!(lanes("redux.sync.max.u32 %out0, %in1, -1;"), [961; 32]);
    assert_eq!(lanes("sub.s32 %r1, %in0, 9;\nredux.sync.min.s32 %out0, %r1, -1;"), [-9_i32 as u32; 32]);
    assert_eq!(lanes("redux.sync.xor.b32 %out0, %in0, -1;"), [0; 32]);
}

#[test]
fn diverged_lanes_meet_again() {
    // Every lane loops a different number of times; afterwards all of them are active.
    let body = "mov.b32 %r1, 0;\nagain:\nadd.s32 %r1, %r1, 1;\nsetp.lt.u32 %p1, %r1, %in0;\n@%p1 bra again;\n\
                activemask.b32 %out0;\nmov.b32 %out1, %r1;";
    for (lane, out) in threads(body, &warp()).into_iter().enumerate() {
        assert_eq!(out[..2], [u32::MAX, (lane as u32).max(1)]);
    }
    // Both sides of a branch, then together.
    let body = "setp.lt.u32 %p1, %in0, 10;\n@%p1 bra low;\nactivemask.b32 %out1;\nbra join;\n\
                low: activemask.b32 %out1;\njoin: activemask.b32 %out0;";
    for (lane, out) in threads(body, &warp()).into_iter().enumerate() {
        assert_eq!(out[..2], [u32::MAX, if lane < 10 { 0x3ff } else { !0x3ff }]);
    }
}

#[test]
fn jump_tables() {
    // Lanes 8 to 15 and 24 to 31 skip the table; lane % 4 selects, two of the targets being one.
    let table = "list: .branchtargets\nfive,\nsix,\nfive,\nseven;\n";
    let jump = "and.b32 %r1, %in0, 8;\nsetp.eq.u32 %p1, %r1, 0;\nmov.b32 %out0, 4;\n@%p1 brx.idx %in2, list;\nbra done;\n";
    let targets = "five: mov.b32 %out0, 5;\nbra done;\nsix: mov.b32 %out0, 6;\nbra done;\nseven: mov.b32 %out0, 7;\n\
                   done: activemask.b32 %out1;";
    for body in [format!("{table}{jump}{targets}"), format!("{jump}{table}{targets}")] {
        for (lane, out) in threads(&body, &warp()).into_iter().enumerate() {
            let want = if lane & 8 == 0 { [5, 6, 5, 7][lane % 4] } else { 4 };
            assert_eq!(out[..2], [want, u32::MAX], "lane {lane}");
        }
    }
}

#[test]
fn special_registers() {
    let body = "mov.u32 %out0, %laneid;\nmov.u32 %out1, %lanemask_lt;\nmov.u32 %out2, %ntid.x;\n\
                mov.u32 %out3, %nctaid.x;";
    let inputs = [[0; 4]; 40];
    for (thread, out) in threads(body, &inputs).into_iter().enumerate() {
        let lane = thread as u32 % 32;
        assert_eq!(out, [lane, (1 << lane) - 1, 40, 1]);
    }
}

#[test]
fn atomics_return_what_was_there() {
    let shared = |op: &str| {
        format!(
            ".shared .align 4 .b8 cell[4];\nsetp.eq.u32 %p1, %in0, 0;\n@%p1 st.shared.u32 [cell], 10;\n\
             bar.sync 0;\n{op}\nbar.sync 0;\nld.shared.u32 %out1, [cell];"
        )
    };
    let run = |op: &str| threads(&shared(op), &warp());
    let added = run("atom.shared.add.u32 %out0, [cell], %in0;");
    // The lowest lane goes first.
    for (lane, out) in added.into_iter().enumerate() {
        let before: u32 = (0..lane as u32).sum();
        assert_eq!(out[..2], [10 + before, 10 + 496]);
    }
    assert_eq!(run("red.shared.max.u32 [cell], %in0;")[0][1], 31);
    assert_eq!(run("atom.shared.min.s32 %out0, [cell], %in0;")[0][1], 0);
    assert_eq!(run("atom.shared.exch.b32 %out0, [cell], %in0;")[0][1], 31);
    assert_eq!(run("atom.shared.inc.u32 %out0, [cell], 12;")[0][1], 3);
    assert_eq!(run("atom.shared.dec.u32 %out0, [cell], 12;")[0][1], 4);
    // Only the lane that finds 10 swaps.
    let swapped = run("atom.shared.cas.b32 %out0, [cell], 10, 77;");
    assert_eq!((swapped[0][..2].to_vec(), swapped[5][0]), (vec![10, 77], 77));
    let float = "mov.b32 %r1, 0f3F000000;\natom.shared.add.f32 %out0, [cell], %r1;";
    // 10 as bits is subnormal: 32 halves are 16 all the same.
    assert_eq!(run(float)[0][1], 16.0_f32.to_bits());
}

#[test]
fn barriers_reduce() {
    let body = "setp.lt.u32 %p1, %r0, 40;\nbar.red.popc.u32 %out0, 0, %p1;\nbar.red.and.pred %p2, 0, %p1;\n\
                selp.b32 %out1, 1, 0, %p2;\nbar.red.or.pred %p3, 0, !%p1;\nselp.b32 %out2, 1, 0, %p3;";
    for out in threads(body, &[[0; 4]; 96]) {
        assert_eq!(out[..3], [40, 0, 1]);
    }
}
