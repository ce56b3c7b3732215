// POST /api/normalize with a JSON array of numbers: the same numbers, normalised.
import { BatchNormError } from 'batchnorm';
import { normalized } from '../../normalized';

export async function POST(request: Request): Promise<Response> {
  const numbers: unknown = await request.json().catch(() => undefined);
  if (!Array.isArray(numbers) || !numbers.every((number) => typeof number === 'number')) {
    return Response.json({ message: 'expected a JSON array of numbers' }, { status: 400 });
  }
  try {
    return Response.json(await normalized(numbers));
  } catch (error) {
    if (!(error instanceof BatchNormError)) throw error;
    return Response.json({ code: error.code, message: error.message }, { status: 400 });
  }
}
