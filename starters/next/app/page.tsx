// A server component: the numbers are normalised on the server, for each request, and once more in the browser.

import { InTheBrowser } from './in-the-browser';
import { normalized } from './normalized';

export const dynamic = 'force-dynamic';

const numbers = [1, 2, 3, 4];

export default async function Page() {
  const { backend, values } = await normalized(numbers);
  return (
    <main>
      <h1>BatchNorm in Next</h1>
      <p id="server">
        On the server, with {backend}: <output>{values.map((value) => value.toFixed(3)).join(', ')}</output>
      </p>
      <InTheBrowser numbers={numbers} />
    </main>
  );
}
