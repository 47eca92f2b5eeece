//! Short ways to run PTX.

use vgpu::{Counters, Device, Error, Loaded, Module, Options};

/// Bytes of a kernel's parameters, each at its alignment.
#[derive(Default)]
pub(crate) struct Params(Vec<u8>);

impl Params {
    pub(crate) fn pointer(mut self, address: u64) -> Self {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        self.0.extend(address.to_le_bytes());
        self
    }

    pub(crate) fn word(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A new allocation that holds these words.
pub(crate) fn upload(device: &mut Device, words: &[u32]) -> u64 {
    let bytes: Vec<_> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let address = device.alloc(bytes.len());
    device.write(address, &bytes).expect("the allocation is that long");
    address
}

pub(crate) fn upload_f32(device: &mut Device, values: &[f32]) -> u64 {
    upload(device, &values.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
}

pub(crate) fn download(device: &Device, address: u64, count: usize) -> Vec<u32> {
    let bytes = device.read(address, 4 * count).expect("the allocation is that long");
    bytes.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().expect("four bytes"))).collect()
}

pub(crate) fn download_f32(device: &Device, address: u64, count: usize) -> Vec<f32> {
    download(device, address, count).into_iter().map(f32::from_bits).collect()
}

/// A kernel `test` with one pointer parameter, `out`, and this body; %in0 to %in3 are four words per thread of `out`'s
/// block of four words, and `%out0` to `%out3` are stored back.
pub(crate) fn kernel(body: &str) -> String {
    format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry test(.param .u64 out)\n{{\n\
         .reg .pred %p<8>;\n.reg .b16 %h<8>;\n.reg .b32 %r<16>, %in<4>, %out<4>;\n.reg .b64 %d<8>, %base;\n\
         ld.param.u64 %base, [out];\nmov.u32 %r0, %tid.x;\nmul.wide.u32 %d0, %r0, 16;\nadd.s64 %base, %base, %d0;\n\
         ld.global.v4.b32 {{%in0, %in1, %in2, %in3}}, [%base];\n\
         mov.b32 %out0, 0; mov.b32 %out1, 0; mov.b32 %out2, 0; mov.b32 %out3, 0;\n\
         {body}\n\
         st.global.v4.b32 [%base], {{%out0, %out1, %out2, %out3}};\nret;\n}}\n"
    )
}

pub(crate) fn load(device: &mut Device, ptx: &str) -> Result<Loaded, Error> {
    device.load(&Module::parse(ptx)?)
}

/// Runs `body` in one thread per element of `inputs`, of at most one block; returns the four words each stores.
pub(crate) fn threads(body: &str, inputs: &[[u32; 4]]) -> Vec<[u32; 4]> {
    try_threads(body, inputs).unwrap_or_else(|error| panic!("{body}: {error}"))
}

pub(crate) fn try_threads(body: &str, inputs: &[[u32; 4]]) -> Result<Vec<[u32; 4]>, Error> {
    let mut device = Device::new();
    let module = load(&mut device, &kernel(body))?;
    let out = upload(&mut device, inputs.as_flattened());
    let params = Params::default().pointer(out);
    device.launch(&module, "test", [1, 1, 1], [inputs.len() as u32, 1, 1], 0, params.bytes())?;
    let words = download(&device, out, 4 * inputs.len());
    Ok(words.chunks_exact(4).map(|w| w.try_into().expect("four words")).collect())
}

/// `instruction` on one thread; it reads %in0 to %in3 and writes %out0.
pub(crate) fn one(instruction: &str, inputs: [u32; 4]) -> u32 {
    threads(instruction, &[inputs])[0][0]
}

/// The same for 64 bits: the inputs are %d1 to %d3, the output %d4.
pub(crate) fn one64(instruction: &str, inputs: [u64; 2]) -> u64 {
    let [a, b] = inputs;
    let words = [a as u32, (a >> 32) as u32, b as u32, (b >> 32) as u32];
    let body = format!(
        "mov.b64 %d1, {{%in0, %in1}};\nmov.b64 %d2, {{%in2, %in3}};\n{instruction}\nmov.b64 {{%out0, %out1}}, %d4;"
    );
    let out = threads(&body, &[words])[0];
    u64::from(out[1]) << 32 | u64::from(out[0])
}

/// A generator of test data (xorshift): the same numbers every time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed * 2 + 1)
    }

    pub(crate) fn word(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as u32
    }

    /// In [-1, 1).
    pub(crate) fn unit(&mut self) -> f32 {
        (self.word() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// Devices that must agree: one host thread in order, and several in random orders.
pub(crate) fn devices() -> [Device; 3] {
    let options = |seed, host_threads| Options { seed, host_threads, ..Options::default() };
    [Device::with(options(None, 1)), Device::with(options(Some(1), 3)), Device::with(options(Some(2), 2))]
}

/// The counters of a launch that must succeed.
pub(crate) fn launch(
    device: &Device,
    module: &Loaded,
    name: &str,
    grid: [u32; 3],
    block: [u32; 3],
    params: &Params,
) -> Counters {
    device.launch(module, name, grid, block, 0, params.bytes()).unwrap_or_else(|error| panic!("{error}"))
}
