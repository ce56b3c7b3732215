// The form in real Chromium, by keyboard as visitors type: every key counts, and what is wrong is said and kept.
import { chromiumMissing, chromiumPath } from '@batchnorm/browser';
import { describeMissing } from '@batchnorm/browser/describe-backend';
import type { Page } from 'playwright';
import { describe, expect, it } from 'vitest';
import { backendNames } from '../src/backends.js';
import { served } from './served.js';
import { visit } from './visitor.js';

const path = chromiumPath();

describe('the page, asked for something else', () => {
  if (path === undefined) return describeMissing('js@chromium', chromiumMissing);

  const here = served(path);

  /** The page with its form open. */
  const withForm = async (query = '') => {
    const visitor = await visit(here.browser, here.site.address + query);
    await visitor.page.getByText('Choose what is measured').click();
    return visitor;
  };
  const queryOf = (page: Page) => new URL(page.url()).search;
  const type = async (page: Page, label: string | RegExp, text: string) => {
    const field = page.getByLabel(label);
    await field.focus();
    await page.keyboard.press('Control+A');
    await page.keyboard.press('Delete');
    for (const key of text) await page.keyboard.press(key);
    return field;
  };

  it('takes sizes of its own key by key, and measures them', async () => {
    const { page, measure, problems } = await withForm('?backends=js&kit=off&shapes=none&rounds=1');
    const field = await type(page, /^Your own/, '128x100, 4*3*5');
    expect(await field.inputValue()).toBe('128x100, 4*3*5');
    // Half a value is none: it counts when the field is left.
    expect(queryOf(page)).toContain('shapes=none');
    await page.keyboard.press('Tab');
    expect(await field.inputValue()).toBe('128×100, 4×3×5');
    expect(queryOf(page)).toBe('?backends=js&kit=off&shapes=128x100,4x3x5&rounds=1');
    await measure();
    expect(await page.locator('.answer').getAttribute('data-backend')).toBe('js');
    expect(await page.locator('.answer select').nth(1).locator('option').allTextContents()).toEqual([
      '128 rows of 100 features',
      '4 sequences of 5, 3 channels',
    ]);
    expect(problems).toEqual([]);
    await page.close();
  });

  it('takes a value with Enter, too, and one that is begun anew', async () => {
    const { page } = await withForm('?shapes=7x5');
    const field = await type(page, /^Your own/, '12x34');
    await page.keyboard.press('Enter');
    expect(queryOf(page)).toBe('?shapes=12x34');
    await page.keyboard.press('End');
    for (const key of ['Backspace', 'Backspace', '9']) await page.keyboard.press(key);
    expect(await field.inputValue()).toBe('12×9');
    await page.keyboard.press('Tab');
    expect(queryOf(page)).toBe('?shapes=12x9');
    await page.close();
  });

  it('says what is wrong, keeps what was typed, and takes it when it is mended', async () => {
    const { page } = await withForm('?shapes=7x5');
    const field = await type(page, /^Your own/, '4x3x');
    await page.keyboard.press('Tab');
    await page.getByText("received shape '4x3x', expected two or more sizes such as 256×64").waitFor();
    expect(await field.inputValue()).toBe('4x3x');
    expect(await field.getAttribute('aria-invalid')).toBe('true');
    expect(queryOf(page)).toBe('?shapes=7x5');
    await page.keyboard.press('Shift+Tab');
    await page.keyboard.press('End');
    await page.keyboard.press('2');
    await page.keyboard.press('Tab');
    expect(queryOf(page)).toBe('?shapes=4x3x2');
    expect(await field.getAttribute('aria-invalid')).toBe('false');
    expect(await page.getByText('received shape').count()).toBe(0);
    await page.close();
  });

  it('takes numbers key by key', async () => {
    const { page } = await withForm();
    const rounds = await type(page, 'How often each is timed', '12');
    expect(await rounds.inputValue()).toBe('12');
    const patience = await type(page, /^Give up/, '105');
    await page.keyboard.press('Tab');
    expect(await patience.inputValue()).toBe('105');
    expect(queryOf(page)).toBe('?rounds=12&patience=105');
    await type(page, 'How often each is timed', '101');
    await page.keyboard.press('Tab');
    await page.getByText("received rounds '101', expected a whole number from 1 to 100").waitFor();
    expect(queryOf(page)).toBe('?rounds=12&patience=105');
    await page.close();
  });

  it('is chosen by keyboard: backends, sizes, how thoroughly', async () => {
    const { page } = await withForm('?backends=js,wasm');
    await page.getByRole('checkbox', { name: 'gpujs-cpu' }).focus();
    await page.keyboard.press('Space');
    await page.getByRole('checkbox', { name: '32 rows of 10 features' }).focus();
    await page.keyboard.press('Space');
    await page.getByRole('radio', { name: /^Backends that may/ }).focus();
    await page.keyboard.press('ArrowDown');
    expect(queryOf(page)).toBe('?backends=js,wasm,gpujs-cpu&kit=all&shapes=32x10,256x64,1024x256,8x64x28x28');
    await page.close();
  });

  it('says that a backend is needed where none is chosen', async () => {
    const { page } = await withForm('?backends=js');
    await page.getByRole('checkbox', { name: 'js', exact: false }).first().uncheck();
    expect(await page.getByRole('button', { name: 'Measure this device' }).isDisabled()).toBe(true);
    await page.getByText('Choose at least one backend below.').waitFor();
    expect(queryOf(page)).toBe('?backends=none');
    await page.close();
  });

  it('names what it does not know of its address, and measures all the same', async () => {
    const { page, measure } = await withForm('?backends=foo&kit=off&shapes=4x4&round=2&rounds=1');
    const alert = await page.locator('.unread').textContent();
    expect(alert).toContain(`received backends 'foo', expected some of ${backendNames.join(', ')}`);
    expect(alert).toContain("received a parameter 'round', expected backends, kit, shapes, rounds, patience");
    for (const name of backendNames.filter((name) => name !== 'js')) {
      await page
        .locator('.settings label', { has: page.getByText(name, { exact: true }) })
        .getByRole('checkbox')
        .uncheck();
    }
    // What is chosen now is what the address says.
    expect(await page.locator('.unread').count()).toBe(0);
    expect(queryOf(page)).toBe('?backends=js&kit=off&shapes=4x4&rounds=1');
    await measure();
    expect(await page.locator('.answer').getAttribute('data-backend')).toBe('js');
    await page.close();
  });

  it('says so where its address names some backends that it knows', async () => {
    const { page, measure } = await visit(
      here.browser,
      `${here.site.address}?backends=js,foo&kit=off&shapes=4x4&rounds=1`,
    );
    await page.getByText("received backends 'foo', expected some of").waitFor();
    await measure();
    expect(await page.locator('.answer').getAttribute('data-backend')).toBe('js');
    expect(await page.locator('.unread').count()).toBe(1);
    await page.close();
  });
});
