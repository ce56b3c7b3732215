// The page. Its address says what is measured (see visit/settings.ts) and, behind the #, which view is shown.
import { render } from 'preact';
import { App } from './app.js';
import { readSettings } from './visit/settings.js';
import { VisitStore } from './visit/visit-store.js';

const { settings, problems } = readSettings(new URLSearchParams(location.search));
render(<App store={new VisitStore(settings)} problems={problems} />, document.body);
