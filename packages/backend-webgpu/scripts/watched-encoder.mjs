// A command encoder that times every dispatch by the device's clock. `device` needs the feature timestamp-query.

const mostDispatches = 1024;
const numberBytes = 8;

/** `submit()` gives { label, microseconds } of each dispatch, in order; the label is that of its pipeline. */
export function watchedEncoder(device) {
  const querySet = device.createQuerySet({ type: 'timestamp', count: 2 * mostDispatches });
  const own = device.createCommandEncoder();
  const labels = [];
  /** A compute pass each of whose dispatches is a pass of its own. */
  const beginComputePass = () => {
    let pipeline;
    let rest;
    const groups = [];
    return {
      setPipeline: (given) => {
        pipeline = given;
      },
      setBindGroup: (index, group) => {
        groups[index] = group;
      },
      dispatchWorkgroups: (...counts) => {
        const at = 2 * (labels.push(pipeline.label) - 1);
        const pass = own.beginComputePass({
          timestampWrites: { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 },
        });
        pass.setPipeline(pipeline);
        groups.forEach((group, index) => {
          pass.setBindGroup(index, group);
        });
        pass.dispatchWorkgroups(...counts);
        pass.end();
      },
      end: () => {
        rest ??= own.beginComputePass();
        rest.end();
      },
    };
  };
  const encoder = new Proxy(own, {
    get: (_, name) => {
      if (name === 'beginComputePass') return beginComputePass;
      const value = own[name];
      return typeof value === 'function' ? value.bind(own) : value;
    },
  });
  const submit = async () => {
    const size = 2 * labels.length * numberBytes;
    const [queryResolve, copySrc, copyDst, mapRead] = [0x200, 0x04, 0x08, 0x01];
    const resolved = device.createBuffer({ size, usage: queryResolve | copySrc });
    const staging = device.createBuffer({ size, usage: mapRead | copyDst });
    own.resolveQuerySet(querySet, 0, 2 * labels.length, resolved, 0);
    own.copyBufferToBuffer(resolved, 0, staging, 0, size);
    device.queue.submit([own.finish()]);
    await staging.mapAsync(1);
    const times = new BigUint64Array(staging.getMappedRange().slice(0));
    for (const one of [resolved, staging, querySet]) one.destroy();
    return labels.map((label, k) => ({ label, microseconds: Number(times[2 * k + 1] - times[2 * k]) / 1000 }));
  };
  return { encoder, submit };
}
