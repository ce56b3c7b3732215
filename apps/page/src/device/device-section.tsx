// Every backend, and whether it works on this device.
import { describeAccumulation } from '@batchnorm/conformance';
import type { ComponentChildren } from 'preact';
import { backends } from '../backends.js';
import { TroubleBadges } from '../visit/trouble-badge.js';
import type { BackendFindings, Visit } from '../visit/visit.js';
import type { Device } from './device.js';

export function DeviceSection({ visit }: { readonly visit: Visit }) {
  return (
    <section aria-labelledby="device-title">
      <h2 id="device-title">What this browser has</h2>
      <DeviceFacts device={visit.device} />
      <table class="backends">
        <caption class="visually-hidden">Backends and whether they work on this device</caption>
        <thead>
          <tr>
            <th scope="col">backend</th>
            <th scope="col">works here</th>
            <th scope="col">runs on</th>
            <th scope="col">threads</th>
            <th scope="col">adds up in</th>
          </tr>
        </thead>
        <tbody>
          {visit.backends.map((findings) => (
            <BackendRow key={findings.name} findings={findings} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function DeviceFacts({ device: { browser, platform, cores, isolated } }: { readonly device: Device }) {
  return (
    <dl class="facts">
      <Fact term="browser">{browser}</Fact>
      <Fact term="system">{platform}</Fact>
      <Fact term="logical cores">{cores}</Fact>
      <Fact term="threads with shared memory">
        {isolated
          ? 'allowed: this page is cross-origin isolated'
          : 'not allowed, so that each backend has one thread, and clocks are coarser. For more the server must send the headers Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy'}
      </Fact>
    </dl>
  );
}

function Fact({ term, children }: { readonly term: string; readonly children: ComponentChildren }) {
  return (
    <div>
      <dt>{term}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function BackendRow({ findings }: { readonly findings: BackendFindings }) {
  const { name, available, troubles } = findings;
  const head = (
    <th scope="row">
      {backends[name].title} <code class="quiet">{name}</code>
    </th>
  );
  if (available === null) {
    const [trouble] = troubles;
    return (
      <tr data-backend={name} data-available={trouble ? 'no' : 'unknown'}>
        {head}
        <td>{trouble ? <span class="badge skipped">– no</span> : <span class="quiet">?</span>}</td>
        <td colSpan={3} class={trouble ? '' : 'quiet'}>
          {trouble ? trouble.message : 'not measured yet'} <TroubleBadges troubles={troubles.filter(isUnexpected)} />
        </td>
      </tr>
    );
  }
  const { engine, device, threads, accumulation, fallbackReason } = available.execution;
  return (
    <tr data-backend={name} data-available="yes">
      {head}
      <td>
        <span class="badge passed">✓ yes</span> <TroubleBadges troubles={troubles} />
      </td>
      <td data-head="runs on">
        {engine}
        {device !== 'cpu' && <span class="quiet"> on {device}</span>}
        {fallbackReason !== null && <strong class="note"> instead of what was asked for: {fallbackReason}</strong>}
      </td>
      <td data-head="threads">{threads}</td>
      <td data-head="adds up in">{describeAccumulation(accumulation)}</td>
    </tr>
  );
}

const isUnexpected = ({ code }: BackendFindings['troubles'][number]) => code !== 'BACKEND_UNAVAILABLE';
