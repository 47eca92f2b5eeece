use super::{assert_says, temp_dir};
use rosa_kernels::checkpoint::{MaskPart, TensorSource, read_masks, write_masks, write_weights};
use std::collections::BTreeMap;

fn mask() -> MaskPart {
    MaskPart { rows: 3, cols: 70_000, row_offsets: vec![0, 2, 2, 3], col_indices: vec![0, 69_999, 7] }
}

#[test]
fn masks_read_back() {
    let dir = temp_dir();
    let path = dir.path().join("mask.safetensors");
    let empty = MaskPart { rows: 2, cols: 5, row_offsets: vec![0; 3], col_indices: vec![] };
    let masks = BTreeMap::from([("model.layers.0.a".to_owned(), mask()), ("b".to_owned(), empty)]);
    write_masks(&path, &masks).unwrap();
    assert_eq!(read_masks(&path).unwrap(), masks);
}

#[test]
fn a_bad_mask_is_named_with_its_module() {
    let dir = temp_dir();
    let path = dir.path().join("mask.safetensors");
    let one = |mask| BTreeMap::from([("some.module".to_owned(), mask)]);
    let falling = MaskPart { col_indices: vec![9, 3, 7], ..mask() };
    assert_says(
        write_masks(&path, &one(falling)),
        &["mask.safetensors", "some.module", "columns rise strictly"],
    );
    assert_says(read_masks(&path), &["mask.safetensors", "cannot read"]);

    let (offsets, columns) = ([0_u32, 1], [4_u32]);
    let parts = || {
        vec![
            TensorSource::slice("m.row_offsets", &[2], &offsets),
            TensorSource::slice("m.col_indices", &[1], &columns),
        ]
    };
    let shape = |text: &str| BTreeMap::from([("m".to_owned(), text.to_owned())]);
    write_weights(&path, &shape("[1, 4]"), parts()).unwrap();
    assert_says(read_masks(&path), &["m", "columns are below cols", "found 4"]);
    write_weights(&path, &BTreeMap::new(), parts()).unwrap();
    assert_says(read_masks(&path), &["m", "no shape"]);
    write_weights(&path, &shape("[1, 5]"), parts().split_off(1)).unwrap();
    assert_says(read_masks(&path), &["no mask"]);
    write_weights(&path, &shape("[1, 5]"), vec![TensorSource::slice("weight", &[2], &offsets)]).unwrap();
    assert_says(read_masks(&path), &["weight", "only row_offsets and col_indices"]);
}
